import numpy as np
import pytest

from hsjp_mm.datasets.converters.spin_npz import convert
from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.ops.keypoint_orders import joint_names
from tests.datasets.converters.scene import person
from tests.helpers import cuts

NUMBER = 3
SMPL = {'left_hip': 1, 'right_hip': 2}


def arrays() -> dict:
    people = [person(seed) for seed in range(NUMBER)]
    joints = np.zeros((NUMBER, 24, 4), np.float32)
    for row, seen in enumerate(people):
        for name, place in SMPL.items():
            joint = seen.joints[place] - seen.joints[0]
            joints[row, joint_names('spin_24').index(name)] = [*joint, 1]
    openpose = np.zeros((NUMBER, 25, 3))
    openpose[:, 0] = [5, 6, 1.04]
    part = np.ones((NUMBER, 24, 3))
    part[:, 3, 2] = 0
    return {
        'imgname': np.array([f'S1/{i}.jpg' for i in range(NUMBER)]),
        'center': np.tile([300.0, 200.0], (NUMBER, 1)), 'scale': np.array([1.2, 0.6, 0.0]),
        'part': part, 'openpose': openpose, 'S': joints,
        'pose': np.stack([seen.pose.ravel() for seen in people]),
        'shape': np.stack([seen.shape for seen in people]),
        'has_smpl': np.array([1, 0, 1]), 'gender': np.array(['m', 'f', 'm']),
        'maskname': np.array(['a'] * NUMBER),
    }  # fmt: skip


def test_labels(tmp_path):
    np.savez(tmp_path / 'spin.npz', **arrays())
    found = convert(tmp_path / 'spin.npz', tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert (found.number, found.left_out) == (2, {'with an empty box': 1})
    assert labels['box'].tolist() == [[200, 100, 400, 300], [250, 150, 350, 250]]
    assert labels['has_pose'].tolist() == [True, False]
    np.testing.assert_allclose(labels['pose'][0], person(0).pose, atol=1e-6)
    assert labels['gender'].tolist() == ['male', 'female']
    assert labels['keypoints'][0, 0].tolist() == [5, 6, 1]
    assert labels['keypoints'][0, 25].tolist() == [1, 1, 1]
    assert labels['keypoints'][0, 28].tolist() == [0, 0, 0]
    hip = joint_names('spin_24').index('left_hip')
    expected = person(1).joints[1] - person(1).joints[0]
    np.testing.assert_allclose(labels['joints'][1, hip, :3], expected, atol=1e-6)


def test_a_test_set_without_points(tmp_path):
    few = {key: arrays()[key] for key in ('imgname', 'center', 'scale', 'pose', 'shape', 'gender')}
    np.savez(tmp_path / 'spin.npz', **few)
    convert(tmp_path / 'spin.npz', tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert labels['has_pose'].all()
    assert 'keypoints' not in labels


def test_paths_with_backslashes_are_those_with_slashes(tmp_path):
    names = np.array([f'S1\\{i}.jpg' for i in range(NUMBER)])
    np.savez(tmp_path / 'spin.npz', **{**arrays(), 'imgname': names})
    convert(tmp_path / 'spin.npz', tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert labels['image_path'].tolist() == ['S1/0.jpg', 'S1/1.jpg']


def test_mistakes(tmp_path):
    path = tmp_path / 'spin.npz'
    np.savez(path, **{**arrays(), 'pose': np.zeros((NUMBER, 24, 3))})
    with pytest.raises(ValueError, match=r'pose must be \(3, 72\), it is \(3, 24, 3\)'):
        convert(path, tmp_path / 'out.npz')
    np.savez(path, **{**arrays(), 'has_smpl': np.ones(2)})
    with pytest.raises(ValueError, match=r'has_smpl must be \(3,\), it is \(2,\)'):
        convert(path, tmp_path / 'out.npz')
    np.savez(path, imgname=np.array(['a']))
    with pytest.raises(ValueError, match='lacks center, scale'):
        convert(path, tmp_path / 'out.npz')
    np.savez(path, **{**arrays(), 'imgname': np.array([None] * NUMBER)})
    with pytest.raises(ValueError, match='of plain arrays'):
        convert(path, tmp_path / 'out.npz')


def test_a_file_that_is_cut_off_is_named(tmp_path):
    path = tmp_path / 'spin.npz'
    np.savez_compressed(path, **arrays())
    for _ in cuts(path):
        with pytest.raises(ValueError, match=r'spin\.npz. must be a \.npz of plain arrays: '):
            convert(path, tmp_path / 'out.npz')
