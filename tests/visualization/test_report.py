"""The demo's report."""

import json
import re

import numpy as np
import pytest

from hsjp_mm.visualization import report
from hsjp_mm.visualization.report import Run, measured, read_scalars, write_report


def pretext_run() -> Run:
    chance = {'hsjp/placed_chance': 0.25, 'hsjp/precision_chance': 1 / 24, 'hsjp/error_chance': 40}
    val = [
        {'step': 100 * i, 'hsjp/placed': 0.3 * i, 'hsjp/precision': 0.1 * i, 'hsjp/error': 9.87,
         **chance}
        for i in (1, 2)
    ]  # fmt: skip
    train = [{'step': 10, 'loss': 1.0, 'placed': 0.2, 'peak': 0.1}]
    return Run('hsjp', train, val, 12.0, 'python tools/train.py <hsjp>')


def test_report_holds_the_figures_and_needs_no_other_file(tmp_path):
    finetunings = [
        Run('scratch', [], [{'step': 1, 'coco/AP': 0.4}, {'step': 2, 'coco/AP': 0.3}], 1, 'c'),
        Run('hsjp-pre', [], [{'step': 2, 'coco/AP': 0.456}], 1, 'c', ['backbone: 3 of 3']),
    ]
    picture = np.zeros((4, 6, 3), np.uint8)
    path = tmp_path / 'report.html'
    write_report(path, 'A & B', pretext_run(), finetunings, [('a', picture)], [('b', picture)])
    text = path.read_text()
    assert '<td>0.600</td><td>0.250</td>' in text  # placed right, chance
    assert '<td>scratch</td><td>0.300</td><td>0.400</td>' in text  # at the end, highest
    assert '<td>hsjp-pre</td><td>0.456</td>' in text
    assert 'A &amp; B' in text and '&lt;hsjp&gt;' in text and 'backbone: 3 of 3' in text
    sources = re.findall(r'(?:src|href)="([^"]{12})', text)
    assert all(source.startswith(('data:image/', '#')) for source in sources)
    assert text.count('data:image/jpeg') == 2 and text.count('<svg') == 2


JIGCLU = {
    'step': 200,
    'jigclu/location': 0.75,
    'jigclu/location_chance': 0.25,
    'jigclu/retrieval': 0.5,
    'jigclu/retrieval_chance': 0.0118,
    'jigclu/restored': 0.125,
    'jigclu/restored_chance': 1.23e-8,
    'jigclu/feature_std': 0.6789,
}


def jigclu_run(val: dict) -> Run:
    train = [
        {'step': 10 * i, 'loss': 1.0, 'retrieval': 0.1 * i, 'location': 0.2, 'feature_std': 0.3}
        for i in (1, 2)
    ]
    return Run('jigclu', train, [val], 12.0, 'c')


def test_what_a_pretraining_came_to():
    assert measured(pretext_run()) == [
        ('patches placed right', '0.600', '0.250'),
        ('puzzles solved', '0.200', '0.042'),
        ('mean error of a patch, pixels', '9.9', '40.0'),
    ]
    assert measured(jigclu_run(JIGCLU)) == [
        ('patches located right', '0.750', '0.250'),
        ('patches whose nearest one is of the same image', '0.500', '0.012'),
        ('images put together again', '0.125', '1.2e-08'),
        ('spread of the vectors (collapsed: 0)', '0.679', ''),
    ]


def test_jigclus_report(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(report, 'svg', lambda figure: drawn.append(figure) or '<svg')
    finetuning = Run('scratch', [], [{'step': 1, 'coco/AP': 0.4}], 1, 'c')
    write_report(tmp_path / 'r.html', 'x', jigclu_run(JIGCLU), [finetuning], [], [])
    text = (tmp_path / 'r.html').read_text()
    assert '<td>images put together again</td><td>0.125</td><td>1.2e-08</td>' in text
    left, right = drawn[0].axes
    lines = [(line.get_label(), [float(y) for y in line.get_ydata()]) for line in left.lines]
    assert lines == [
        ('patches whose nearest one is of the same image, validation', [0.5]),
        ('in training batches', [0.1, 0.2]),
        ('by chance, validation', [0.0118, 0.0118]),
        ('patches located right, validation', [0.75]),
        ('in training batches', [0.2, 0.2]),
        ('by chance, validation', [0.25, 0.25]),
    ]
    assert list(left.lines[1].get_xdata()) == [10, 20]
    assert len({line.get_color() for line in left.lines[:3]}) == 1
    assert left.lines[0].get_color() != left.lines[3].get_color()
    assert list(right.lines[0].get_ydata()) == [0.3, 0.3]


def test_a_head_without_a_branch_has_no_rows_and_curves_of_it(tmp_path):
    missing = ('location', 'restored')
    val = {key: value for key, value in JIGCLU.items() if not any(name in key for name in missing)}
    run = jigclu_run(val)
    for line in run.train:
        del line['location']
    assert [row[1] for row in measured(run)] == ['0.500', '0.679']
    assert '<svg' in report._pretext_figure(run)


def test_an_unknown_evaluation_is_refused():
    with pytest.raises(ValueError, match=r'jigclu holds step, a/b, but none of hsjp/…, jigclu/…'):
        measured(jigclu_run({'step': 1, 'a/b': 2}))


def test_scalars_of_the_newest_run(tmp_path):
    for stamp, loss in (('20260101_000000', 1.0), ('20260102_000000', 2.0)):
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        lines = [{'loss': loss, 'step': 1}, {'coco/AP': 0.1, 'step': 1}]
        (folder / 'scalars.json').write_text('\n'.join(json.dumps(line) for line in lines))
    assert read_scalars(tmp_path) == ([{'loss': 2.0, 'step': 1}], [{'coco/AP': 0.1, 'step': 1}])
    with pytest.raises(FileNotFoundError, match='no finished run'):
        read_scalars(tmp_path / '20260101_000000')
