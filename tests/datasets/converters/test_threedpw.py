import pickle

import cv2
import numpy as np
import pytest

from hsjp_mm.datasets.converters.threedpw import convert
from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.ops.keypoint_orders import joint_names
from tests.datasets.converters.scene import (
    CAMERA,
    assert_same_body,
    in_world,
    person,
    project,
    rotation,
)

FRAMES = 4


def extrinsic(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """The camera moves."""
    return rotation(0.1 * frame, 0.3, -2.0), np.array([0.2, 1.0 + 0.1 * frame, 3.0])


def sequence(name: str = 'downtown_walking_00') -> dict:
    """The dictionary of a .pkl, with two persons; the second one's camera is lost in frame 2."""
    people = [[person(10 * p, (0.5 * p, 0.1, 4 + p))] * FRAMES for p in range(2)]
    content = {key: [] for key in ('poses', 'betas', 'trans', 'jointPositions', 'poses2d')}
    for frames in people:
        world = [in_world(seen, *extrinsic(frame)) for frame, seen in enumerate(frames)]
        content['poses'].append(np.stack([pose.ravel() for pose, _ in world]))
        content['betas'].append(frames[0].shape)
        content['trans'].append(np.stack([translation for _, translation in world]))
        placed = [
            ((seen.joints - extrinsic(frame)[1]) @ extrinsic(frame)[0]).ravel()
            for frame, seen in enumerate(frames)
        ]
        content['jointPositions'].append(np.stack(placed))
        points = np.zeros((FRAMES, 3, 18))
        points[:, :2] = 420 + np.arange(18) * 10.0
        points[:, 1] += 30
        points[:, 2] = 0.7
        points[1, 2, 5:] = 0  # detected in part
        points[3, 2] = 0  # not at all
        content['poses2d'].append(points)
    matrices = np.tile(np.eye(4), (FRAMES, 1, 1))
    for frame in range(FRAMES):
        matrices[frame, :3, :3], matrices[frame, :3, 3] = extrinsic(frame)
    intrinsic = np.array([[CAMERA[0], 0, CAMERA[2]], [0, CAMERA[1], CAMERA[3]], [0, 0, 1]])
    return {
        **content, 'sequence': name, 'genders': ['m', 'f'], 'cam_poses': matrices,
        'cam_intrinsics': intrinsic, 'img_frame_ids': np.arange(FRAMES),
        'campose_valid': [np.ones(FRAMES), np.array([1, 1, 0, 1])],
    }  # fmt: skip


def write(root, content, split='test', protocol=2):
    folder = root / 'sequenceFiles' / split
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{content["sequence"]}.pkl').write_bytes(pickle.dumps(content, protocol))
    return root


def test_frames_come_into_the_camera(tmp_path):
    root = write(tmp_path, sequence())
    images = root / 'imageFiles/downtown_walking_00'
    images.mkdir(parents=True)
    cv2.imwrite(str(images / 'image_00000.jpg'), np.zeros((48, 64, 3), np.uint8))
    found = convert(root, tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert found.number == 7
    assert found.left_out == {'without a valid camera': 1}
    assert '35,515' in str(found)
    for row, (who, seen) in enumerate(
        [('male', person(0, (0, 0.1, 4)))] * 4 + [('female', person(10, (0.5, 0.1, 5)))] * 3
    ):
        assert_same_body(labels, row, seen)
        np.testing.assert_allclose(labels['joints'][row, :, :3], seen.joints, atol=1e-5)
        assert labels['gender'][row] == who
    assert labels['image_path'][6] == 'imageFiles/downtown_walking_00/image_00003.jpg'
    assert labels['id'].tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert labels['image_size'].tolist() == [[64, 48]] * 7
    np.testing.assert_allclose(labels['camera'][0], CAMERA)
    assert labels.joint_set == 'smpl_24'


def test_detections_and_boxes(tmp_path):
    labels_of = write(tmp_path, sequence())
    convert(labels_of, tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert labels['box'][0].tolist() == [420, 450, 590, 620]
    assert labels['box'][1].tolist() == [420, 450, 460, 490]
    assert not labels['keypoints'][1, 5:].any()
    pixels = project(person(0, (0, 0.1, 4)).joints)
    np.testing.assert_allclose(labels['box'][3], [*pixels.min(0), *pixels.max(0)], atol=1e-3)
    wrist = joint_names('openpose_18').index('left_wrist')
    np.testing.assert_allclose(labels['keypoints'][0, wrist], [490, 520, 0.7], atol=1e-6)
    assert (labels['image_size'] == 0).all()


def test_joints_that_do_not_fit_the_translation_give_none(tmp_path):
    content = sequence()
    content['trans'][0] = content['trans'][0] * 1000
    found = convert(write(tmp_path, content), tmp_path / 'out.npz')
    assert 'person 0: no translations' in str(found)
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert labels['has_translation'].tolist() == [False] * 4 + [True] * 3


def test_a_pickle_that_runs_something_is_refused(tmp_path):
    write(tmp_path, sequence())
    (tmp_path / 'sequenceFiles/test/downtown_walking_00.pkl').write_bytes(
        b'cos\nsystem\n(S"echo"\ntR.'
    )
    with pytest.raises(ValueError, match=r'os.system is not allowed'):
        convert(tmp_path, tmp_path / 'out.npz')


def test_mistakes(tmp_path):
    with pytest.raises(ValueError, match="split='val' must be one of train, validation, test"):
        convert(tmp_path, tmp_path / 'out.npz', split='val')
    with pytest.raises(FileNotFoundError, match='source='):
        convert(tmp_path, tmp_path / 'out.npz')
    content = sequence()
    del content['genders']
    write(tmp_path, content, 'train')
    with pytest.raises(ValueError, match=r'00\.pkl lacks genders'):
        convert(tmp_path, tmp_path / 'out.npz', split='train')
