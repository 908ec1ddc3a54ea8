"""From poses to a JSON and its pictures."""

import json
import runpy

import cv2
import numpy as np

from hsjp_mm.models.utils.part_groups import read_part_groups
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/part_groups.py'))['main']


def test_groups_overlap_and_pictures(tmp_path, capsys):
    rng = np.random.default_rng(0)
    poses = rng.uniform(0, 60, (2000, 16, 2))
    poses[:, 10] = poses[:, 11] + rng.normal(0, 3, (2000, 2))  # the right arm
    poses[:, 8] = poses[:, 9] + (0, 10)  # the head
    poses[:3, 9] = np.nan
    rows = [f'{i}.jpg,' + ','.join(map(str, pose.ravel())) for i, pose in enumerate(poses)]
    (tmp_path / 'poses.csv').write_text('\n'.join(rows))
    out = tmp_path / 'new/groups.json'
    options = ['--groups', '14', '--lattice', '4', '--also', 'right_shoulder=right_elbow']
    assert main([str(tmp_path / 'poses.csv'), *options, '--out', str(out)]) == 0
    printed = capsys.readouterr().out
    assert '1997 of 2000 poses have the unit of length' in printed
    groups = read_part_groups(out).groups
    assert ('right_wrist', 'right_elbow', 'right_shoulder') in groups and len(groups) == 14
    assert '- right_wrist, right_elbow, right_shoulder\n' in printed
    source = json.loads(out.read_text())['source']
    assert source['poses'] == 'poses.csv' and source['num_poses'] == 1997
    assert source['also'] == ['right_shoulder=right_elbow'] and source['lattice'] == 4
    for kind in ('matrix', 'skeleton'):
        assert cv2.imread(str(out.with_suffix(f'.{kind}.png'))).std() > 20


def test_own_keypoints(tmp_path, log_file):
    keypoints = {
        i: dict(name=name, id=i, color=[0, 0, 0], type='upper', swap='')
        for i, name in enumerate(['tip', 'left', 'right', 'tail'])
    }
    info = dict(
        dataset_name='own', paper_info={}, keypoint_info=keypoints, skeleton_info={},
        joint_weights=[1.0] * 4, sigmas=[0.05] * 4,
    )  # fmt: skip
    (tmp_path / 'own.py').write_text(f'dataset_info = {info}\n')
    rng = np.random.default_rng(0)
    poses = rng.uniform(0, 60, (300, 4, 2))
    poses[:, 1] = poses[:, 2] + rng.normal(0, 3, (300, 2))
    rows = [f'{i}.jpg,' + ','.join(map(str, pose.ravel())) for i, pose in enumerate(poses)]
    (tmp_path / 'poses.csv').write_text('\n'.join(rows))
    options = ['--groups', '3', '--lattice', '4', '--unit', 'tip', 'tail']
    out = tmp_path / 'groups.json'
    own = ['--metainfo', str(tmp_path / 'own.py')]
    main([str(tmp_path / 'poses.csv'), *own, *options, '--out', str(out)])
    assert ('left', 'right') in read_part_groups(out).groups
    assert '300 poses are too few for a lattice of 4 by 4 cells' in log_file.read_text()
