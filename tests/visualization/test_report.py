"""The demo's report."""

import json
import re

import numpy as np
import pytest

from hsjp_mm.visualization.report import Run, read_scalars, write_report


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


def test_scalars_of_the_newest_run(tmp_path):
    for stamp, loss in (('20260101_000000', 1.0), ('20260102_000000', 2.0)):
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        lines = [{'loss': loss, 'step': 1}, {'coco/AP': 0.1, 'step': 1}]
        (folder / 'scalars.json').write_text('\n'.join(json.dumps(line) for line in lines))
    assert read_scalars(tmp_path) == ([{'loss': 2.0, 'step': 1}], [{'coco/AP': 0.1, 'step': 1}])
    with pytest.raises(FileNotFoundError, match='no finished run'):
        read_scalars(tmp_path / '20260101_000000')
