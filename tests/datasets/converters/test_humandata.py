import numpy as np
import pytest

from hsjp_mm.datasets.converters.humandata import convert
from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.ops.keypoint_orders import joint_names
from tests.datasets.converters.scene import person

NUMBER = 2
# by the list of the format's own code: a data set's left hip, SMPL's right knee, and the nose
LEFT_HIP, RIGHT_KNEE, NOSE, SMPLS_LEFT_HIP = 145, 5, 55, 1


def content(compressed: bool) -> dict:
    people = [person(seed) for seed in range(NUMBER)]
    mask = np.zeros(190, int)
    mask[[LEFT_HIP, RIGHT_KNEE, NOSE]] = 1
    points = np.zeros((NUMBER, 190, 3))
    points[:, LEFT_HIP], points[:, RIGHT_KNEE], points[:, NOSE] = [1, 2, 1], [3, 4, 1], [5, 6, 0.5]
    points[:, SMPLS_LEFT_HIP] = [9, 9, 1]  # masked
    if compressed:
        points = points[:, mask > 0]
    return {
        'image_path': [f'images/{i}.jpg' for i in range(NUMBER)],
        'bbox_xywh': np.tile([10.0, 20, 30, 40, 1], (NUMBER, 1)),
        'keypoints2d': points, 'keypoints2d_mask': mask,
        'smpl': {
            'global_orient': np.stack([seen.pose[0] for seen in people]),
            'body_pose': np.stack([seen.pose[1:] for seen in people]),
            'betas': np.stack([seen.shape for seen in people]),
        },
        'meta': {'gender': ['male', 'female']}, 'config': 'made up',
        '__keypoints_compressed__': compressed,
    }  # fmt: skip


@pytest.mark.parametrize('compressed', [False, True])
def test_labels(tmp_path, compressed):
    np.savez_compressed(tmp_path / 'human.npz', **content(compressed))
    found = convert(tmp_path / 'human.npz', tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert found.number == NUMBER
    assert labels['box'][0].tolist() == [10, 20, 40, 60]
    assert labels['gender'].tolist() == ['male', 'female']
    assert labels['image_path'][1] == 'images/1.jpg'
    np.testing.assert_allclose(labels['pose'][1], person(1).pose, atol=1e-6)
    expected = {'left_hip': [1, 2, 1], 'right_knee': [3, 4, 1], 'nose': [5, 6, 0.5]}
    for name, point in zip(joint_names('spin_24'), labels['keypoints'][0], strict=True):
        assert point.tolist() == expected.get(name, [0, 0, 0]), name


def test_newer_files_call_their_points_otherwise(tmp_path):
    given = content(False)
    newer = {key.replace('keypoints2d', 'keypoints2d_original'): v for key, v in given.items()}
    newer |= {'smplx': newer.pop('smpl'), 'keypoints2d_smplx': np.ones((NUMBER, 190, 3))}
    np.savez(tmp_path / 'human.npz', **newer)
    found = convert(tmp_path / 'human.npz', tmp_path / 'out.npz')
    assert found.has == {'keypoints': NUMBER}
    assert found.notes == ('not read: config, __keypoints_compressed__, smplx, keypoints2d_smplx',)
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert labels['keypoints'][0, joint_names('spin_24').index('left_hip')].tolist() == [1, 2, 1]
    # the older name is read where a file has both
    both = {**given, 'keypoints2d_original': np.zeros((NUMBER, 190, 3))}
    np.savez(tmp_path / 'human.npz', **both)
    found = convert(tmp_path / 'human.npz', tmp_path / 'out.npz')
    assert found.has['keypoints'] == NUMBER and 'keypoints2d_original' in found.notes[0]


def test_a_file_without_a_label_that_is_read_is_refused(tmp_path):
    given = content(False)
    others = {key: given[key] for key in ('image_path', 'bbox_xywh')} | {'smplx': given['smpl']}
    np.savez(tmp_path / 'human.npz', **others)
    with pytest.raises(ValueError, match=r'no label in .*keys: image_path, bbox_xywh, smplx$'):
        convert(tmp_path / 'human.npz', tmp_path / 'out.npz')
    assert not (tmp_path / 'out.npz').exists()
    np.savez(
        tmp_path / 'human.npz', **{**others, **given, 'smpl': {}, 'keypoints2d_mask': [0] * 190}
    )
    with pytest.raises(ValueError, match='no label in '):
        convert(tmp_path / 'human.npz', tmp_path / 'out.npz')


def test_a_pickle_that_runs_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ('hello',)

    np.savez(tmp_path / 'human.npz', **{**content(False), 'meta': {'gender': Evil()}})
    with pytest.raises(ValueError, match=r'builtins.print is not allowed'):
        convert(tmp_path / 'human.npz', tmp_path / 'out.npz')


def test_mistakes(tmp_path):
    path = tmp_path / 'human.npz'
    np.savez(path, image_path=['a'])
    with pytest.raises(ValueError, match='lacks bbox_xywh'):
        convert(path, tmp_path / 'out.npz')
    np.savez(path, **{**content(False), 'keypoints2d': np.zeros((NUMBER, 17, 3))})
    with pytest.raises(ValueError, match=r'must be \(2, 190 or the 3 of its mask, 3\)'):
        convert(path, tmp_path / 'out.npz')
    path.write_bytes(b'no archive')
    with pytest.raises(ValueError, match='cannot be read as HumanData'):
        convert(path, tmp_path / 'out.npz')
