"""The demo's report by the names of version 0.1."""

import json

import numpy as np
import pytest

from hsjp_mm.comparison.report_of_0_1 import Run, measured, read_scalars, write_report


def pretext(**val) -> Run:
    train = [{'step': 10, 'loss': 1.0, 'placed': 0.2, 'peak': 0.1}]
    return Run('hsjp', train, [{'step': 100, **val}], 12.0, 'python tools/train.py')


def test_old_arguments_make_todays_report(tmp_path):
    run = pretext(**{'hsjp/placed': 0.6, 'hsjp/placed_chance': 0.25})
    assert measured(run) == [('patches placed right', '0.600', '0.250')]
    picture = np.zeros((4, 6, 3), np.uint8)
    scratch = Run('scratch', [], [{'step': 1, 'coco/AP': 0.4}], 1, 'c', ['backbone: 3 of 3'])
    write_report(tmp_path / 'r.html', 'A', run, [scratch], [('a', picture)], [('b', picture)])
    text = (tmp_path / 'r.html').read_text()
    assert '<td>patches placed right</td><td>0.600</td><td>0.250</td>' in text
    assert '<td>scratch</td><td>0.400</td>' in text and 'backbone: 3 of 3' in text
    assert text.count('data:image/jpeg') == 2
    with pytest.raises(ValueError, match=r'hsjp holds step, a/b, but none of hsjp/…, jigclu/…'):
        measured(pretext(**{'a/b': 2}))


def test_scalars_of_the_newest_run(tmp_path):
    for stamp, loss in (('20260101_000000', 1.0), ('20260102_000000', 2.0)):
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        lines = [{'loss': loss, 'step': 1}, {'coco/AP': 0.1, 'step': 1}]
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    assert read_scalars(tmp_path) == ([{'loss': 2.0, 'step': 1}], [{'coco/AP': 0.1, 'step': 1}])
    with pytest.raises(FileNotFoundError, match='no finished run'):
        read_scalars(tmp_path / '20260101_000000')
