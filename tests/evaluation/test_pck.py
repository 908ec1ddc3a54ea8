"""Letters as in the module under test."""

import numpy as np
import pytest

from hsjp_mm.evaluation.pck import (
    average,
    column_keypoints,
    keypoint_pck,
    predicted_keypoints,
    table,
)


def share(distance: float, unit: float, thr: float) -> float:
    found = np.array([[[distance, 0.0]]])
    return keypoint_pck(found, np.zeros((1, 1, 2)), np.ones((1, 1), bool), [unit], thr)[0]


@pytest.mark.parametrize('thr', [0.5, 0.2, 0.1])
@pytest.mark.parametrize('unit', [40.0, 77.0, 314.25])
def test_the_threshold_is_still_correct(thr, unit):
    assert share(thr * unit, unit, thr) == 100
    assert share(thr * unit * 1.00001, unit, thr) == 0
    assert share(thr * unit * 0.99999, unit, thr) == 100


def test_shares_against_a_loop():
    rng = np.random.default_rng(0)
    truth, found = rng.uniform(0, 100, (2, 30, 5, 2))
    found[3, 2] = np.nan
    counted = rng.random((30, 5)) < 0.6
    counted[3, 2] = True
    counted[:, 4] = False
    unit = rng.uniform(30, 90, 30)
    shares = keypoint_pck(found, truth, counted, unit, 0.5)
    for k in range(4):
        right = [
            ((found[n, k] - truth[n, k]) ** 2).sum() <= (unit[n] / 2) ** 2
            for n in range(30)
            if counted[n, k]
        ]
        assert shares[k] == pytest.approx(100 * sum(right) / len(right))
    assert np.isnan(shares[4])


def test_the_units_stay_as_they_were():
    unit = np.array([7.0])
    keypoint_pck(np.ones((1, 1, 2)), np.zeros((1, 1, 2)), np.ones((1, 1), bool), unit, 0.5)
    assert unit[0] == 7


def test_averages_leave_out_what_nobody_has():
    assert average(np.array([90, np.nan, 60])) == 75
    assert average(np.array([90, np.nan, 60]), np.array([2, 0, 1])) == 80
    assert np.isnan(average(np.array([np.nan, np.nan])))


def test_columns_are_found_by_name():
    limbs = ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
    order = ['head_top', *(f'{side}_{limb}' for limb in limbs for side in ('right', 'left'))]
    names = {name: index for index, name in enumerate(order)}
    columns = column_keypoints(names, ['head_top'])
    assert columns['head'] == [0] and columns['wrist'] == [6, 5]
    with pytest.raises(ValueError, match='the data set has no neck, only head_top, right_should'):
        column_keypoints(names, ['neck', 'head_top'])


def test_predictions_must_fit():
    truth = {'keypoints': np.zeros((1, 14, 2))}
    nobody = {'gt_instances': truth, 'pred_instances': {'keypoints': np.zeros((0, 14, 2))}}
    assert np.isnan(predicted_keypoints(nobody)).all()
    for shape in ((1, 16, 2), (2, 14, 2)):
        sample = {'gt_instances': truth, 'pred_instances': {'keypoints': np.zeros(shape)}}
        with pytest.raises(ValueError, match=r'must have the same shape .*output_keypoint_indices'):
            predicted_keypoints(sample)


def test_a_table_that_a_human_reads():
    columns = {'head': 'Head', 'mean': 'Mean'}
    rows = {'all': {'head': 100.0, 'mean': 97.456}, 'invisible': {'head': np.nan}}
    assert table('PCKh@0.5', columns, rows).split('\n') == [
        'PCKh@0.5',
        '             Head    Mean',
        'all        100.00   97.46',
        'invisible       –       –',
    ]
