"""The table, the numbers and the figures that the tool writes."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import ROOT, SHARED

ANNOTATIONS = SHARED / 'coco_mini/annotations'
main = runpy.run_path(str(ROOT / 'tools/keypoint_priors.py'))['main']


@pytest.mark.slow
@pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason='../shared/data/coco_mini is absent')
def test_table_numbers_and_figures(tmp_path, capsys):
    files = [str(ANNOTATIONS / f'person_keypoints_{split}2017.json') for split in ('train', 'val')]
    assert main([*files, '--out', str(tmp_path / 'priors')]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        '154 persons; left out: 130 without keypoints, 0 with a box without area, 6 crowds'
    )
    assert lines[1].split()[2:5] == ['labelled', 'outside', 'row']
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:19]}
    numbers = json.loads((tmp_path / 'priors/priors.json').read_text())
    for name, known in numbers['keypoints'].items():
        shares = np.array(known['shares'])
        values = [known['outside'], *shares.sum(axis=1), *shares.sum(axis=0)]
        assert rows[name] == [str(known['labelled']), *(f'{100 * value:.1f}' for value in values)]
    written = [Path(line).name for line in lines[19:]]
    assert written == ['priors.json', 'head.png', 'upper_limbs.png', 'lower_limbs.png']
    assert all((tmp_path / 'priors' / name).stat().st_size > 2000 for name in written)


def test_what_is_wrong_is_said(tmp_path, capsys):
    assert main([str(tmp_path / 'none.json')]) == 2
    assert f"ANNOTATIONS='{tmp_path}/none.json' does not exist" in capsys.readouterr().err
