import json

import numpy as np
import pytest

from hsjp_mm.datasets.converters.eft import convert
from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.ops.keypoint_orders import joint_names
from tests.datasets.converters.scene import person, rotation


def fit(key: int) -> dict:
    seen = person(key)
    points = np.zeros((49, 3))
    points[25:, 0], points[25:, 1], points[25:, 2] = np.arange(24), 100 + key, 1
    return {
        'parm_pose': [rotation(*one).tolist() for one in seen.pose],
        'parm_shape': seen.shape.tolist(), 'parm_cam': [0.9, 0.0, 0.1],
        'bbox_scale': 1.2, 'bbox_center': [200.0, 150.0], 'gt_keypoint_2d': points.tolist(),
        'annotId': 1000 + key, 'imageName': f'COCO_train2014_{key:012}.jpg',
        'smpltype': 'basicModel_neutral_lbs_10_207_0_v1.0.0',
    }  # fmt: skip


def write(folder, fits):
    (folder / 'eft.json').write_text(json.dumps({'ver': 0.1, 'data': fits}))
    return folder / 'eft.json'


def test_fits(tmp_path):
    found = convert(write(tmp_path, [fit(1), fit(2)]), tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert found.number == 2
    assert labels['id'].tolist() == [1001, 1002]
    np.testing.assert_allclose(labels['pose'][1], person(2).pose, atol=1e-5)
    np.testing.assert_allclose(labels['shape'][1], person(2).shape, atol=1e-5)
    assert labels['box'][0].tolist() == [100, 50, 300, 250]  # 1.2 · 200 pixels without the margin
    assert labels.keypoint_set == 'spin_49'
    neck = joint_names('spin_49').index('neck')
    assert labels['keypoints'][1, neck].tolist() == [12, 102, 1]
    assert 'translation' not in labels
    assert labels['image_path'][0] == 'COCO_train2014_000000000001.jpg'


def test_ids_that_are_none_are_numbered(tmp_path):
    fits = [{**fit(1), 'annotId': [3, 4]}, fit(2)]
    convert(write(tmp_path, fits), tmp_path / 'out.npz')
    assert read_mesh_file(tmp_path / 'out.npz')['id'].tolist() == [0, 1]


def test_mistakes(tmp_path):
    for change, message in (
        ({'parm_pose': (2 * np.tile(np.eye(3), (24, 1, 1))).tolist()}, 'must be rotation matrices'),
        ({'parm_pose': (-np.tile(np.eye(3), (24, 1, 1))).tolist()}, 'must be rotation matrices'),
        ({'parm_shape': [1.0]}, r'data\[0\].parm_shape must be numbers of shape \(10,\)'),
    ):
        with pytest.raises(ValueError, match=message):
            convert(write(tmp_path, [{**fit(1), **change}]), tmp_path / 'out.npz')
    broken = fit(1)
    del broken['imageName']
    with pytest.raises(ValueError, match=r"data\[0\] lacks 'imageName'"):
        convert(write(tmp_path, [broken]), tmp_path / 'out.npz')
    (tmp_path / 'eft.json').write_text('[1]')
    with pytest.raises(ValueError, match="must hold a list 'data' of fits"):
        convert(tmp_path / 'eft.json', tmp_path / 'out.npz')
