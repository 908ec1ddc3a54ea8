"""The report that compares initialisations, also as a browser shows it."""

import html
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from mmengine.config import ConfigDict

from hsjp_mm.comparison import figures, gallery, report
from hsjp_mm.comparison.gallery import poses_of
from hsjp_mm.comparison.labelling_cost import LabellingCost
from hsjp_mm.comparison.logs import Failure
from hsjp_mm.comparison.meshes_of_runs import Bodies
from hsjp_mm.comparison.pretrainings import Pretraining
from hsjp_mm.comparison.published import Published
from hsjp_mm.comparison.report import conclusions, write_comparison
from hsjp_mm.comparison.runs import FineTuning
from hsjp_mm.models.pretext.base import Measure
from hsjp_mm.visualization.labels import ZERO_WIDTH
from tests.datasets.test_lsp import people
from tests.datasets.test_lsp import write as write_lsp

KINDS = ('good', 'jitter', 'inversion', 'swap', 'miss')
SCORES = {
    (0.1, 'scratch'): (0.20, 0.22, 0.24),
    (0.1, 'hsjp <b>'): (0.40, 0.42, 0.47),
    (1.0, 'scratch'): (0.60, 0.63, 0.66),
    (1.0, 'hsjp <b>'): (0.61, 0.65, 0.69),
}


def make_runs(seeds: int = 3) -> list[FineTuning]:
    return [
        FineTuning(
            init, fraction, seed, f'/somewhere/rather/deep/compare/{init}/{fraction}/{seed}',
            'coco/AP', 'greater', [(3200, score / 2), (6400, score)], 400, 50.0 + seed,
            f'backbone: {init}, {"a-name-of-a-file-that-does-not-break" * 3}', '', {'lr': 1},
            host_memory=1000.0 + seed, commands=[f'python tools/train.py {"x/" * 60}config.py'],
            hashes={'recipe': 'ab' * 32}, versions={'torch': '2.11.0'},
        )
        for (fraction, init), scores in SCORES.items()
        for seed, score in list(enumerate(scores))[:seeds]
    ]  # fmt: skip


def diagnosis(run: FineTuning) -> dict:
    return {
        'oks_thresholds': [0.5, 0.75, 0.95],
        'AP_by_oks': [run.score + 0.2, run.score, run.score / 8],
        'shares': dict(zip(KINDS, (run.score, 0.1, None, 0.05, 0.2), strict=True)),
        'AP_gain': {kind: run.score / 10 for kind in (*KINDS[1:], 'all')},
    }


def write(path: Path, runs: list[FineTuning], **values) -> str:
    if 'errors' not in values:
        values['errors'] = {run.folder: diagnosis(run) for run in runs}
    write_comparison(path, 'A & B', runs, **values)
    return path.read_text().replace(report.DASH, '–')


def test_the_best_and_other_measures_are_beside_the_end(tmp_path):
    runs = [
        replace(
            run,
            metric='mesh/PA-MPJPE',
            rule='less',
            curve=[(3200, 60.0 + run.seed), (6400, 70.0 + run.seed)],
            others={'mesh/MPJPE': 100.0 + run.seed, 'mesh/PCK': 90.0},
        )
        for run in make_runs()
    ]
    runs[0] = replace(runs[0], others={'mesh/MPJPE': 100.0})
    text = write(tmp_path / 'r.html', runs)
    head = (
        '<th>PA-MPJPE (mm), end</th><th>PA-MPJPE (mm), best</th><th>MPJPE (mm)</th><th>PCK (%)</th>'
    )
    assert head in text
    for share, name in (('10 %', 'scratch'), ('100 %', 'hsjp &lt;b&gt;')):
        row = (
            f'<td>{share}</td><td>{name}</td><td>71.0 (70.0–72.0)</td><td>61.0 (60.0–62.0)</td>'
            '<td>101.0 (100.0–102.0)</td><td>90.0 (90.0–90.0)</td>'
        )
        assert row in text


def test_numbers_and_records_are_in_it_and_nothing_else_is_needed(tmp_path):
    text = write(tmp_path / 'r.html', make_runs())
    for part in (
        '<title>A &amp; B</title>',
        '400 iterations, in which 6,400 images (in top-down models, crops of persons) are seen',
        '(scratch and hsjp &lt;b&gt;), on 10 % and 100 % of the labels, seeds 0, 1 and 2: 12 runs',
        '<td>scratch</td><td>0.220 (0.200–0.240)</td><td>0.630 (0.600–0.660)</td>',
        '<td>hsjp &lt;b&gt;</td><td>0.430 (0.400–0.470)</td><td>0.650 (0.610–0.690)</td>',
        '<td>10 %</td><td>scratch</td><td>3</td><td>51 (50–52)</td><td>6,400</td><td>1,002</td>',
        '<td>10 %</td><td>scratch</td><td>+0.022</td>',  # a tenth of 0.22
        'python tools/train.py',
        'sha256 ' + 'ab' * 32 + '  recipe',
        'Versions: torch 2.11.0',
    ):
        assert part in text, part
    assert 'hsjp <b>' not in text
    assert text.count('<svg') == 3 * 2 + 1  # curves, thresholds, errors by share; by share
    assert text.count('<details>') == 12
    assert not re.findall(r'(?:src|href|url\()\s*=?\s*["\']?(?!#)(?:https?:)?//', text)
    assert '<script' not in text and '<link' not in text and '@import' not in text


def test_a_winner_is_named_only_where_the_spreads_are_apart(tmp_path):
    text = write(tmp_path / 'r.html', make_runs())
    few, many = text.split('With 100 % of the labels:')
    assert 'hsjp &lt;b&gt; is ahead of scratch' in few.split('With 10 % of the labels:')[1]
    assert 'is ahead of' not in many
    assert 'no difference shown, their spreads overlap' in many
    assert 'come apart by chance in 1 of 10 comparisons' in many


@pytest.mark.parametrize(
    ('seeds', 'said'),
    [(1, 'There is one seed: no spread can be seen'), (2, 'Two seeds are too few')],
)
@pytest.mark.slow
def test_too_few_seeds_give_no_winner(seeds, said, tmp_path):
    text = write(tmp_path / 'r.html', make_runs(seeds))
    assert said in text
    assert 'is ahead of' not in text


@pytest.mark.slow
def test_a_longer_budget_is_said(tmp_path):
    runs = make_runs()
    text = write(tmp_path / 'r.html', runs)
    assert '400 iterations, in which 6,400 images' in text and 'Except' not in text
    longer = [
        replace(run, curve=[*run.curve, (12800, run.score)], iterations=800, budget=2)
        if run.init == 'scratch'
        else run
        for run in runs
    ]
    text = write(tmp_path / 'r.html', longer)
    assert '400 iterations, in which 6,400 images' in text
    assert 'Except scratch, which has 2 times this budget, its schedule stretched.' in text


@pytest.mark.slow
def test_failures_and_missing_diagnoses_are_told(tmp_path):
    runs = make_runs()
    failure = Failure('c, seed 3', 'w/c', 'exit status 1', 'RuntimeError: <out> of memory')
    text = write(
        tmp_path / 'r.html',
        runs,
        failures=[failure],
        errors={},
        undiagnosed={run.folder: 'no <file>' for run in runs},
    )
    assert '1 run failed or unfinished' in text
    assert 'c, seed 3: exit status 1' in text and 'RuntimeError: &lt;out&gt; of memory' in text
    assert text.count('There is no diagnosis of errors: no &lt;file&gt;.') == 1
    some = {run.folder: 'no predictions' for run in runs[:2]}
    text = write(tmp_path / 'r.html', runs, undiagnosed=some)
    assert text.count('Of 2 of 12 runs there is no diagnosis of errors: no predictions.') == 1
    other = replace(runs[0], versions={'torch': '2.6'})
    assert 'Not all runs were made with the same versions' in write(
        tmp_path / 's.html', [other, *runs[1:]]
    )
    with pytest.raises(ValueError, match='nothing to compare'):
        write_comparison(tmp_path / 't.html', 'x', [])


def test_figures_show_mean_and_range(tmp_path, monkeypatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, 'svg', lambda figure: drawn.append(figure) or '<svg>')
    write(tmp_path / 'r.html', make_runs())
    few, many, by_labels, thresholds, _, kinds, _ = (figure.axes[0] for figure in drawn)
    scratch = few.lines[0]
    assert scratch.get_label() == 'scratch'
    assert list(scratch.get_xdata()) == [3200, 6400]
    assert list(scratch.get_ydata()) == pytest.approx([0.11, 0.22])
    band = few.collections[0].get_paths()[0].vertices
    assert sorted(set(band[band[:, 0] == 6400, 1])) == pytest.approx([0.20, 0.24])
    assert few.get_ylim() == many.get_ylim() == (0, pytest.approx(0.69 * 1.05))
    means, caps, _ = by_labels.containers[0].lines
    assert list(means.get_ydata()) == pytest.approx([0.22, 0.63])
    assert list(caps[0].get_ydata()) == pytest.approx([0.20, 0.60])
    assert list(caps[1].get_ydata()) == pytest.approx([0.24, 0.66])
    assert list(thresholds.lines[1].get_ydata()) == pytest.approx([0.63, 0.43, 0.43 / 8])
    assert [bar.get_height() for bar in kinds.patches[:5]] == pytest.approx(
        [0.22, 0.1, 0, 0.05, 0.2]
    )


def test_an_error_is_drawn_around_its_values_and_the_smaller_one_is_ahead(tmp_path, monkeypatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, 'svg', lambda figure: drawn.append(figure) or '<svg>')
    runs = [
        replace(run, metric='EPE', rule='less', curve=[(x, 100 * (1 - y)) for x, y in run.curve])
        for run in make_runs()
    ]
    text = write(tmp_path / 'r.html', runs, errors={})
    assert '<th>EPE at the end (less is better)</th>' in text
    assert '<td>scratch</td><td>78.0 (76.0–80.0)</td>' in text
    assert 'hsjp &lt;b&gt; is ahead of scratch: each of its seeds (53.0–60.0) is below' in text
    curves, _, by_labels = (figure.axes[0] for figure in drawn)
    assert curves.get_ylim() == (pytest.approx(31 - 2.95), pytest.approx(90 + 2.95))
    assert by_labels.get_ylim() == (pytest.approx(31 - 2.45), pytest.approx(80 + 2.45))
    assert curves.get_ylabel() == 'EPE (less is better)'


def in_millimeters(longer: int = 1) -> list[FineTuning]:
    """Errors of which scratch has more, and more images to get there if it is to be longer."""
    runs = []
    for run in make_runs():
        budget = longer if run.init == 'scratch' else 1
        error = 100 * (1 - run.score)
        curve = [(3200 * i, error + 9 / i) for i in range(1, 2 * budget)]
        curve.append((6400 * budget, error))
        runs.append(
            replace(run, metric='mesh/PA-MPJPE', rule='less', curve=curve, budget=budget,
                    iterations=400 * budget)
        )  # fmt: skip
    return runs


def test_curves_of_longer_runs_go_to_their_own_end(tmp_path, monkeypatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, 'svg', lambda figure: drawn.append(figure) or '<svg>')
    runs = in_millimeters(longer=3)
    runs[0] = replace(runs[0], curve=[(3200, float('nan')), *runs[0].curve[1:]])
    text = write(tmp_path / 'r.html', runs, errors={})
    axes = drawn[0].axes[0]
    scratch, hsjp = axes.lines
    assert list(scratch.get_xdata()) == [3200, 6400, 9600, 12800, 16000, 19200]
    assert list(hsjp.get_xdata()) == [3200, 6400]
    assert scratch.get_label() == 'scratch, 3× as long' and hsjp.get_label() == 'hsjp <b>'
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [
        'scratch, 3× as long', 'hsjp <b>'
    ]  # fmt: skip
    assert scratch.get_ydata()[-1] == pytest.approx(78) and hsjp.get_ydata()[-1] == pytest.approx(
        57
    )
    assert axes.get_xlim()[1] >= 19200 and axes.get_ylabel() == 'PA-MPJPE (mm, less is better)'
    for part in (
        '<h2>PA-MPJPE against images seen</h2>',
        '<td>scratch, 3× as long</td><td>78.0 (76.0–80.0)</td><td>37.0 (34.0–40.0)</td>',
        'Not all initialisations have the same budget',
        '<td>10 %</td><td>scratch</td><td>3</td><td>51 (50–52)</td><td>19,200</td>',
        '<td>10 %</td><td>hsjp &lt;b&gt;</td><td>3</td><td>51 (50–52)</td><td>6,400</td>',
    ):
        assert part in text, part
    assert 'Not all initialisations' not in write(tmp_path / 's.html', in_millimeters(), errors={})


def test_published_values_have_a_column_of_their_own(tmp_path):
    published = Published({'scratch': {0.1: 73.37}, 'hsjp <b>': {0.1: 66.9}}, 'other <data>')
    text = write(tmp_path / 'r.html', in_millimeters(), errors={}, published=published)
    for part in (
        '<th>10 % of labels</th><th>published, 10 %</th><th>100 % of labels</th></tr>',
        '<td>scratch</td><td>78.0 (76.0–80.0)</td><td>73.37</td><td>37.0 (34.0–40.0)</td></tr>',
        'Published: other &lt;data&gt;. They were measured on other data, so only the order of',
        '<li>In 1 of 1 pairs the seeds here show the published order: hsjp &lt;b&gt; before',
    ):
        assert part in text, part
    assert 'ublished' not in write(tmp_path / 's.html', in_millimeters(), errors={})


def test_the_cost_of_labels_is_set_against_the_error(tmp_path, monkeypatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, 'svg', lambda figure: drawn.append(figure) or '<svg>')
    labelling = LabellingCost({'scratch': {}, 'hsjp <b>': {'boxes': 1200}})
    text = write(tmp_path / 'r.html', in_millimeters(), errors={}, labelling=labelling)
    for part in (
        '<h2>PA-MPJPE against the cost of labels</h2>',
        '<td>scratch</td><td>nothing</td><td>0</td><td>78.0 (76.0–80.0)</td>',
        '<td>1,200 boxes</td><td>8,400 (2.3 h)</td><td>57.0 (53.0–60.0)</td>',
        'Seconds of labelling for one person: boxes, 7 s.',
    ):
        assert part in text, part
    few = drawn[3].axes[0]  # after two curves and that by labels
    assert few.get_xlabel() == 'hours of labelling for the pretraining'
    places = [float(bar.lines[0].get_xdata()[0]) for bar in few.containers]
    means = [float(bar.lines[0].get_ydata()[0]) for bar in few.containers]
    assert places == pytest.approx([0, 8400 / 3600]) and means == pytest.approx([78, 57])
    drawn.clear()
    unknown = LabellingCost({'scratch': {}, 'hsjp <b>': {'dense_points': 5}})
    text = write(tmp_path / 's.html', in_millimeters(), errors={}, labelling=unknown)
    assert 'no seconds are given for dense points' in text
    assert len(drawn) == 3  # one point alone shows nothing
    assert 'cost of labels' not in write(tmp_path / 't.html', in_millimeters(), errors={})


def test_many_initialisations_are_summed_up_and_told_apart(tmp_path, monkeypatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, 'svg', lambda figure: drawn.append(figure) or '<svg>')
    names = [f'start-{i}' for i in range(9)]
    first = make_runs()[0]
    runs = [
        replace(
            first, init=name, seed=seed, folder=f'{name}/{seed}', curve=[(9, i // 8 + seed / 9)]
        )
        for i, name in enumerate(names)
        for seed in range(3)
    ]
    text = write(tmp_path / 'r.html', runs, errors={})
    assert f'<li>start-8 is ahead of {", ".join(names[:8])}.</li>' in text
    assert '<li>Of 28 of 36 pairs no order is shown.</li>' in text
    assert '<summary>each of the 36 pairs</summary>' in text
    assert text.count('their spreads overlap') == 28
    looks = figures.Looks(runs)
    assert len({(looks.color(name), looks.marker(name)) for name in names}) == 9
    (curves,) = drawn
    assert curves.axes[0].get_legend() is None  # it would cover the curves
    (legend,) = curves.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    assert curves.get_figheight() == pytest.approx(figures.SIZE[1] + 5 * figures.LINE)


def test_bodies_are_shown_as_large_as_they_are(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    bodies = Bodies('how <chosen>', [('1. a', picture)], [('1. a', picture)], ['No bodies: <x>.'])
    text = write(tmp_path / 'r.html', make_runs(), errors={}, bodies=bodies)
    assert text.count('<div class="wide natural"><img') == 2
    for part in (
        '<h2>Predicted bodies of the hardest persons</h2>', 'how &lt;chosen&gt;',
        '<h2>Where the parts look</h2>', 'No bodies: &lt;x&gt;.',
    ):  # fmt: skip
        assert part in text
    none = write(tmp_path / 's.html', make_runs(), errors={}, bodies=Bodies(undrawn=['No: y.']))
    assert 'No: y.' in none and 'Where the parts look' not in none


def made_up_pretraining() -> Pretraining:
    val = [
        {'made/up': 0.3 * i, 'made/up_chance': 0.25, 'made/rest': 2e-6, 'made/error': 9.87,
         'made/error_chance': 40, 'step': 100 * i}
        for i in (1, 2)
    ]  # fmt: skip
    measures = (
        Measure('made/up', 'made <up>', share=True),
        Measure('made/error', 'its error', digits=1),
        Measure('made/rest', 'the rest', share=True),
    )
    return Pretraining(
        'mine', '/a/folder', '/a/folder/best_x_iter_9.pth', 'cd' * 32, 'the best by x', 'o.MadeUp',
        measures, Measure('spark', 'spark (collapsed: 0)'),
        [{'loss': 1.0, 'up': 0.1 * i, 'spark': 0.3, 'step': 10 * i} for i in (1, 2)], val, {}, 1000,
        32000, 0, 77.0, host_memory=900.0,
    )  # fmt: skip


def test_pretrainings_are_told_of_by_their_measures_beside_chance(tmp_path, monkeypatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, 'svg', lambda figure: drawn.append(figure) or '<svg>')
    picture = np.zeros((4, 6, 3), np.uint8)
    text = write(
        tmp_path / 'r.html', make_runs(), errors={}, pretrainings=[made_up_pretraining()],
        poses=[('scratch, poses', picture)], undrawn=['No poses of x are drawn: why <not>.'],
    )  # fmt: skip
    for part in (
        '<td>made &lt;up&gt;</td><td>0.600</td><td>0.250</td>',
        '<td>its error</td><td>9.9</td><td>40.0</td>',
        '<td>the rest</td><td>2e-06</td><td></td>',
        'o.MadeUp: 1,000 iterations, 32,000 images. Fine-tunings start from best_x_iter_9.pth, the',
        'There is one pretraining each: its own spread is not shown.',
        '<td>pretraining of mine</td><td>1</td><td>77</td><td>32,000</td><td>900</td>',
        'sha256 ' + 'cd' * 32,
        'No poses of x are drawn: why &lt;not&gt;.',
    ):
        assert part in text, part
    assert 'What the pretraining itself cost is not in it' not in text
    assert text.count('data:image/jpeg') == 1
    shares, error, health = (figure.axes[0] for figure in drawn[:3])
    lines = [(line.get_label(), [float(y) for y in line.get_ydata()]) for line in shares.lines]
    assert lines == [
        ('made <up>', [0.3, 0.6]), ('in training batches', [0.1, 0.2]), ('by chance', [0.25, 0.25]),
        ('the rest', [2e-6, 2e-6]),
    ]  # fmt: skip
    assert shares.get_ylim() == (0, 1) and list(shares.lines[1].get_xdata()) == [10, 20]
    assert error.get_ylim() != (0, 1) and error.get_ylim()[1] > 40
    assert list(health.lines[0].get_ydata()) == [0.3, 0.3] and health.get_ylim()[0] == 0


def test_what_is_said_on_the_screen():
    lines = conclusions(make_runs(), [made_up_pretraining()])
    assert lines[:3] == [
        'mine, made <up>: 0.600 (by chance 0.250)', 'mine, its error: 9.9 (by chance 40.0)',
        'mine, the rest: 2e-06',
    ]  # fmt: skip
    assert lines[3] == 'AP, scratch, 10 % of the labels: 0.220 (0.200–0.240)'
    assert lines[7].startswith('10 % of the labels: hsjp <b> is ahead of scratch')
    assert lines[-1].endswith('There is one pretraining each: its own spread is not shown.')


def test_poses_that_cannot_be_drawn_are_told():
    pictures, reasons = poses_of(make_runs())
    assert not pictures and len(reasons) == 2
    assert reasons[0].startswith('No poses of scratch are drawn: ')


def test_boxes_of_annotations_that_are_no_json(tmp_path):
    """Those of Leeds Sports Pose are in a .mat, and have centers in place of boxes."""
    write_lsp(tmp_path, people(4), extended=False)
    dataset = ConfigDict(
        type='hsjp_mm.LSPDataset', data_root=str(tmp_path), ann_file='joints.mat', split='test',
        data_prefix=dict(img='images/'), test_mode=True, pipeline=[dict(type='LoadImage')],
    )  # fmt: skip
    boxes = gallery._boxes(dataset)
    assert [Path(path).name for path in boxes] == ['im0003.jpg', 'im0004.jpg']
    for [(left, top, right, bottom)] in boxes.values():
        assert right - left == pytest.approx(bottom - top)
        assert right > left


def test_a_board_that_cannot_be_read_is_named(tmp_path):
    """As where the disk was full: the others are shown."""
    folder = tmp_path / '1/vis_data/vis_image'
    folder.mkdir(parents=True)
    picture = np.zeros((4, 6, 3), np.uint8)
    for step in (5, 10):
        cv2.imwrite(str(folder / f'puzzle_0_{step}.png'), picture)
    cut = folder / 'puzzle_0_10.png'
    cut.write_bytes(cut.read_bytes()[:30])
    one = replace(made_up_pretraining(), folder=str(tmp_path))
    text = write(tmp_path / 'r.html', make_runs(), errors={}, pretrainings=[one])
    assert text.count('data:image/jpeg') == 1
    assert f'mine, board 1 after 10 iterations is not shown: {cut} cannot be read.' in text


@pytest.mark.parametrize('error', [TypeError('x'), AssertionError(), IndexError(), cv2.error('x')])
def test_no_picture_costs_the_report(error, monkeypatch):
    def draw(run):
        raise error

    monkeypatch.setattr(gallery, '_draw', draw)
    pictures, reasons = poses_of(make_runs())
    assert not pictures
    assert reasons[0].startswith(f'No poses of scratch are drawn: {type(error).__name__}')


def test_the_name_of_a_measure_is_text_in_headings(tmp_path):
    runs = [replace(run, metric='x/<b>AP</b>') for run in make_runs()]
    labelling = LabellingCost({'scratch': {}, 'hsjp <b>': {'boxes': 1200}})
    text = write(tmp_path / 'r.html', runs, errors={}, labelling=labelling)
    assert '<b>' not in text
    assert text.count('<h2>x/&lt;b&gt;AP&lt;/b&gt; against ') == 3


def test_names_that_matplotlib_would_typeset_or_leave_out(tmp_path):
    names = {'scratch': 'x$\\y$', 'hsjp <b>': '_mine'}
    runs = [replace(run, init=names[run.init], metric='x/$z$') for run in make_runs()]
    one = replace(made_up_pretraining(), measures=(Measure('made/up', '_$', share=True),))
    text = write(tmp_path / 'r.html', runs, errors={}, pretrainings=[one])
    drawn = re.findall(r'<text[^>]*>([^<]*)</text>', text)
    said = [label.replace(ZERO_WIDTH, '') for label in drawn]
    assert [said.count(name) for name in ('x$\\y$', '_mine', 'x/$z$', '_$')] == [3, 3, 3, 1]
    assert '<td>_mine</td>' in text  # as it is


@pytest.mark.parametrize('name', ['r.csv', 'R.CSV'])
def test_the_table_is_not_written_over(name, tmp_path):
    with pytest.raises(ValueError, match=r'^report=.* must be an HTML file'):
        report.report_on(tmp_path / name, 'A', [])


@pytest.mark.parametrize('name', ['r.html', 'r.csv'])
def test_a_folder_where_the_report_should_be_is_told_first(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError, match=rf"^report='.*/{name}' is a folder"):
        report.require_page(tmp_path / 'r.html')


CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')


def browse(folder: Path, page: Path, width: int, *options: str) -> str:
    command = [
        CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
        '--no-first-run', '--disable-background-networking', '--disable-component-update',
        '--disable-sync', f'--user-data-dir={folder}/profile-{width}-{len(options[0])}',
        f'--window-size={width},1500', *options, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason='needs Chromium (apt-get install chromium)')
@pytest.mark.parametrize('width', [1280, 400])
def test_page_in_a_browser(width, tmp_path):
    failure = Failure('c, seed 3', '/a/rather/long/folder/' * 9, 'exit status 1', 'x' * 300)
    text = write(tmp_path / 'r.html', make_runs(), failures=[failure])
    # in a frame, for Chromium's own windows are no narrower than 500 pixels; all that is folded is
    # unfolded, and the page measures itself
    measure = (
        '<script>document.querySelectorAll("details").forEach(d => d.open = true);'
        'const e = document.documentElement; const f = document.querySelector("figure svg");'
        'parent.document.body.dataset.sizes = [e.clientWidth, e.scrollWidth, f.clientWidth]'
        '.join(" ")</script></body>'
    )
    inner = html.escape(text.replace('</body>', measure))
    frame = tmp_path / 'frame.html'
    frame.write_text(
        f'<body><iframe width="{width}" height="900" srcdoc="{inner}"></iframe></body>'
    )
    dom = browse(tmp_path, frame, 1600, '--dump-dom')
    client, scroll, figure = map(int, re.search(r'data-sizes="(\d+) (\d+) (\d+)"', dom).groups())
    assert width - 20 <= client <= width  # a scroll bar
    assert scroll == client  # nothing sticks out
    assert figure > 0.85 * min(width, 24 * 16)
    picture = tmp_path / 'page.png'
    browse(tmp_path, tmp_path / 'r.html', width, f'--screenshot={picture}')
    image = cv2.imread(str(picture))
    assert image.shape == (1500, width, 3)
    rows = (image != 255).any(axis=(1, 2))
    assert rows[:750].mean() > 0.3 and rows[750:].mean() > 0.3  # written all over
    colors = np.unique(image.reshape(-1, 3), axis=0)[:, ::-1].tolist()
    assert [0x00, 0x72, 0xB2] in colors and [0xD5, 0x5E, 0x00] in colors  # the curves
