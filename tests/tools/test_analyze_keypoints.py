"""Numbers, tables and figures of two result files."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from hsjp_mm.analysis import diagnose
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/analyze_keypoints.py'))['main']
POINTS = np.array([[20 + 40 * (k % 6), 20 + 40 * (k // 6)] for k in range(17)])


@pytest.fixture
def folder(tmp_path) -> Path:
    """Annotations of a person and results, right in a/ and with the ankles exchanged in b/."""
    order = [*range(15), 16, 15]
    for name, points in (('a', POINTS), ('b', POINTS[order])):
        keypoints = np.column_stack([points, np.ones(17)]).ravel().tolist()
        entry = dict(image_id=1, category_id=1, score=0.5, keypoints=keypoints)
        (tmp_path / name).mkdir()
        (tmp_path / name / 'x.keypoints.json').write_text(json.dumps([entry]))
        if name == 'a':
            ann = dict(entry, id=1, bbox=[20, 20, 200, 80], area=900, iscrowd=0)
            coco = dict(images=[dict(id=1)], annotations=[ann], categories=[dict(id=1)])
            (tmp_path / 'ann.json').write_text(json.dumps(coco))
    return tmp_path


def run(folder: Path, *arguments: str) -> int:
    return main([*arguments, '--ann', str(folder / 'ann.json'), '--out', str(folder / 'out')])


@pytest.mark.slow
def test_numbers_tables_and_figures(folder, capsys):
    files = [str(folder / f'{name}/x.keypoints.json') for name in 'ab']
    assert run(folder, *files, '--names', 'right', 'left') == 0
    numbers = json.loads((folder / 'out/keypoint_errors.json').read_text())
    assert numbers == {
        name: diagnose(folder / 'ann.json', path)
        for name, path in zip(('right', 'left'), files, strict=True)
    }
    assert len(list((folder / 'out').glob('*.png'))) == 4
    out = capsys.readouterr().out
    assert 'left: 1 detections, 1 evaluated; 1 of 1 persons found, 17 of their' in out
    cells = [line.split() for line in out.splitlines()]
    # OKS 15/17 = 0.882: eight thresholds
    assert ['left', '0.800', *['1.000'] * 8, '0.000', '0.000'] in cells
    assert ['left', '88.2', '0.0', '11.8', '0.0', '0.0'] in cells
    assert ['left', '+0.000', '+0.200', '+0.000', '+0.000', '+0.200'] in cells
    assert ['right', '100.0', '0.0', '0.0', '0.0', '0.0'] in cells


@pytest.mark.slow
def test_results_are_called_by_their_files_and_folders(folder):
    files = [str(folder / f'{name}/x.keypoints.json') for name in 'ab']
    apart = ['a/x.keypoints', 'b/x.keypoints']
    for paths, names in ((files[:1], ['x.keypoints']), (files, apart)):
        assert run(folder, *paths) == 0
        assert list(json.loads((folder / 'out/keypoint_errors.json').read_text())) == names


def test_mistakes_are_one_sentence_and_status_2(folder, capsys):
    results = str(folder / 'a/x.keypoints.json')
    for arguments, message in (
        ([str(folder / 'no.json')], 'does not exist'),
        ([str(folder / 'ann.json')], 'must be a list of detections'),
        ([results, '--names', 'a', 'b'], '2 names for 1 results'),
        ([results, results], 'results need different names'),
        (
            [results, '--metainfo', 'configs/_base_/datasets/crowdpose.py'],
            '--metainfo: it names 14 keypoints, but the annotations have 17',
        ),
    ):
        assert run(folder, *arguments) == 2
        assert message in capsys.readouterr().err
    assert not (folder / 'out').exists()
