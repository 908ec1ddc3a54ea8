"""The figures show the numbers that they are given."""

import cv2
import numpy as np
import pytest

from hsjp_mm.analysis.keypoint_errors import ERRORS, KINDS
from hsjp_mm.visualization import plot_keypoint_errors
from hsjp_mm.visualization.keypoint_errors import (
    ap_by_oks,
    errors,
    errors_by_keypoint,
    precision_recall,
)

NAMES = ('nose', 'left_ankle', 'right_ankle')


def diagnosis(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    aps = np.sort(rng.random(10))[::-1]
    precision = [np.linspace(min(2 * ap, 1), max(2 * ap - 1, 0), 101).tolist() for ap in aps]

    def shares() -> dict:
        return dict(zip(KINDS, rng.dirichlet(np.ones(5)).tolist(), strict=True))

    return {
        'AP': aps.mean(), 'AP_by_oks': aps.tolist(), 'precision': precision,
        'oks_thresholds': np.linspace(0.5, 0.95, 10).round(2).tolist(),
        'recall': np.linspace(0, 1, 101).tolist(), 'keypoints': 30, 'shares': shares(),
        'by_keypoint': {name: {'keypoints': 10, 'shares': shares()} for name in NAMES},
        'AP_gain': dict(zip((*ERRORS, 'all'), rng.random(5) / 5, strict=True)),
    }  # fmt: skip


@pytest.fixture
def diagnoses() -> dict[str, dict]:
    return {f'results {seed}': diagnosis(seed) for seed in range(4)}


def test_a_curve_and_an_ap_for_each_threshold(diagnoses):
    figure = precision_recall(diagnoses)
    assert len(figure.axes) == 4
    for ax, (name, numbers) in zip(figure.axes, diagnoses.items(), strict=True):
        assert ax.get_title() == f'{name}: AP {numbers["AP"]:.3f}'
        for line, precision in zip(ax.lines, numbers['precision'], strict=True):
            assert line.get_ydata() == pytest.approx(precision)
        labels = [text.get_text().split() for text in ax.get_legend().get_texts()]
        rows = zip(numbers['oks_thresholds'], numbers['AP_by_oks'], strict=True)
        assert labels == [[f'{oks:.2f}', f'{ap:.3f}'] for oks, ap in rows]


def test_ap_by_threshold_and_the_difference_to_the_first(diagnoses):
    left, right = ap_by_oks(diagnoses).axes
    first, last = (np.array(diagnoses[f'results {i}']['AP_by_oks']) for i in (0, 3))
    assert left.lines[3].get_ydata() == pytest.approx(last)
    assert right.lines[0].get_ydata() == pytest.approx(np.zeros(10))
    assert right.lines[3].get_ydata() == pytest.approx(last - first)
    assert len(ap_by_oks({'one': diagnosis(0)}).axes) == 1


def test_bars_are_as_long_as_the_shares_and_gains(diagnoses):
    left, right = errors(diagnoses).axes
    for kind, bars in zip(KINDS, left.containers, strict=True):
        assert bars.get_label() == kind
        shares = [numbers['shares'][kind] for numbers in diagnoses.values()]
        assert [bar.get_width() for bar in bars] == pytest.approx(shares)
    assert [bar.get_x() + bar.get_width() for bar in left.containers[-1]] == pytest.approx([1] * 4)
    for bars, numbers in zip(right.containers, diagnoses.values(), strict=True):
        gains = list(numbers['AP_gain'].values())
        assert [bar.get_height() for bar in bars] == pytest.approx(gains)


def test_equal_results_have_axes_of_a_tenth(diagnoses):
    same = dict(diagnoses['results 0'], AP_gain=dict.fromkeys((*ERRORS, 'all'), 0.0))
    pair = {'a': same, 'b': same}
    assert ap_by_oks(pair).axes[1].get_ylim() == pytest.approx((-0.105, 0.105))
    assert errors(pair).axes[1].get_ylim() == pytest.approx((0, 0.115))


def test_every_keypoint_has_its_bar_and_none_where_nothing_is_known(diagnoses):
    diagnoses['results 1']['by_keypoint']['nose'] = {
        'keypoints': 0,
        'shares': dict.fromkeys(KINDS),
    }
    axes = errors_by_keypoint(diagnoses).axes
    labels = [label.get_text() for label in axes[1].get_yticklabels()]
    assert labels == ['nose (0)', 'left ankle (10)', 'right ankle (10)']
    for ax, numbers in zip(axes, diagnoses.values(), strict=True):
        for kind, bars in zip(ERRORS, ax.containers, strict=True):
            shares = [entry['shares'][kind] or 0 for entry in numbers['by_keypoint'].values()]
            assert [bar.get_width() for bar in bars] == pytest.approx(shares)


@pytest.mark.slow
def test_files(diagnoses, tmp_path):
    paths = plot_keypoint_errors(diagnoses, tmp_path / 'new')
    assert [path.name for path in paths] == [
        'precision_recall.png', 'ap_by_oks.png', 'errors.png', 'errors_by_keypoint.png'
    ]  # fmt: skip
    for path in paths:
        picture = cv2.imread(str(path))
        assert picture.shape[1] > 900 and 10 < picture.std() < 120
    with pytest.raises(ValueError, match='nothing to draw'):
        plot_keypoint_errors({}, tmp_path)
    del diagnoses['results 2']['by_keypoint']['nose']
    with pytest.raises(ValueError, match='different keypoints: results 0, results 1'):
        plot_keypoint_errors(diagnoses, tmp_path)


def test_names_of_results_are_no_formulas_and_all_in_the_legend(diagnoses, tmp_path):
    names = ('$x', '_mine$\\y$')
    diagnoses = dict(zip(names, diagnoses.values(), strict=False))
    assert len(plot_keypoint_errors(diagnoses, tmp_path)) == 4
    legend = ap_by_oks(diagnoses).axes[0].get_legend()
    assert len(legend.get_texts()) == len(diagnoses)
