import json

import numpy as np
import pytest

from hsjp_mm.datasets.converters.h36m import convert
from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.models.body_models.by_gender import BodiesByGender
from hsjp_mm.ops.keypoint_orders import joint_names
from tests.datasets.converters.scene import (
    CAMERA,
    SIZE,
    assert_same_body,
    in_world,
    person,
    project,
    rotation,
    smpl_folder,
)

TURN = rotation(1.2, -0.7, 0.4)
SHIFT = np.array([0.3, 0.5, 4.2])  # meters; the room's origin is that far from the camera
# SMPL's joints in the order of Human3.6M; its spine, neck, jaw and top of the head are near these
ORDER = [0, 2, 5, 8, 1, 4, 7, 6, 12, 15, 15, 16, 18, 20, 17, 19, 21]


def write_subject(folder, subject: int, frames=(0, 1, 5, 64), cameras=(1, 4), fits=True):
    """The five files of a subject, a person before each camera; all cameras are at one place."""
    people = {frame: person(frame) for frame in frames}
    content = {'images': [], 'annotations': []}
    joints, poses = {}, {}
    for frame, seen in people.items():
        pixels = project(seen.joints)
        for camera in cameras:
            key = len(content['images'])
            content['images'].append(
                {
                    'id': key, 'file_name': f's_{subject:02}/ca_{camera:02}_{frame:06}.jpg',
                    'width': SIZE[0], 'height': SIZE[1], 'subject': subject, 'action_idx': 2,
                    'subaction_idx': 1, 'cam_idx': camera, 'frame_idx': frame,
                }
            )  # fmt: skip
            low, high = pixels.min(axis=0), pixels.max(axis=0)
            content['annotations'].append(
                {'id': key, 'image_id': key, 'bbox': [*low.tolist(), *(high - low).tolist()]}
            )
        world = (seen.joints[ORDER] - SHIFT) @ TURN * 1000
        joints[str(frame)] = world.tolist()
        pose, translation = in_world(seen, TURN, SHIFT)
        poses[str(frame)] = {
            'pose': pose.ravel().tolist(), 'shape': seen.shape.tolist(),
            'trans': translation.tolist(),
        }  # fmt: skip
    camera = {
        'R': TURN.tolist(), 't': (SHIFT * 1000).tolist(), 'f': CAMERA[:2].tolist(),
        'c': CAMERA[2:].tolist(),
    }  # fmt: skip
    files = {
        'data': content,
        'camera': {str(key): camera for key in (1, 2, 3, 4)},
        'joint_3d': {'2': {'1': joints}},
        **({'SMPL_NeuralAnnot': {'2': {'1': poses}}} if fits else {}),
    }
    for kind, value in files.items():
        path = folder / f'Human36M_subject{subject}_{kind}.json'
        path.write_text(json.dumps(value))
    return people


@pytest.fixture
def annotations(tmp_path):
    folder = tmp_path / 'annotations'
    folder.mkdir()
    for subject in (1, 5, 6, 7, 8, 9, 11):
        write_subject(folder, subject)
    return folder


def test_training(annotations, tmp_path):
    bodies = BodiesByGender(smpl_folder(tmp_path / 'smpl'))
    found = convert(annotations, tmp_path / 'out.npz', bodies=bodies)
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert found.number == len(labels) == 5 * 2 * 2  # frames 0 and 5, two cameras
    assert found.left_out == {'of frames between': 5 * 2 * 2}
    seen = person(5)
    row = labels['image_path'].tolist().index('s_06/ca_01_000005.jpg')
    assert_same_body(labels, row, seen)
    np.testing.assert_allclose(labels['joints'][row, :, :3], seen.joints[ORDER], atol=1e-5)
    left = joint_names('h36m_17').index('left_wrist')
    np.testing.assert_allclose(
        labels['keypoints'][row, left], [*project(seen.joints[20:21])[0], 1], atol=1e-3
    )
    assert labels['camera'][row].tolist() == CAMERA.tolist()
    assert labels['image_size'][row].tolist() == list(SIZE)
    assert (labels['sequence'][row], labels['frame'][row]) == ('s6-a2-1', 5)
    assert labels['gender'][row] == 'neutral'
    pixels = project(seen.joints)
    np.testing.assert_allclose(labels['box'][row], [*pixels.min(0), *pixels.max(0)], atol=1e-3)


def test_the_test_takes_the_frontal_camera_and_every_64th_frame(annotations, tmp_path):
    found = convert(annotations, tmp_path / 'out.npz', split='test')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert sorted(set(labels['image_path'])) == [
        f's_{subject}/ca_04_{frame:06}.jpg' for subject in ('09', '11') for frame in (0, 64)
    ]
    assert found.left_out == {'of frames between': 8, 'of other cameras': 4}
    assert 'translation' not in labels
    assert 'no translations: they need the files of SMPL' in str(found)
    every = convert(annotations, tmp_path / 'all.npz', split='test', every=1)
    ids = read_mesh_file(tmp_path / 'all.npz')
    assert every.number == 2 * 4
    by_path = dict(zip(ids['image_path'], ids['id'], strict=True))
    assert [by_path[path] for path in labels['image_path']] == labels['id'].tolist()


def test_joints_alone(annotations, tmp_path):
    for path in annotations.glob('*_SMPL_NeuralAnnot.json'):
        path.unlink()
    found = convert(annotations, tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert labels.body == 'none'
    assert not labels['has_pose'].any()
    assert 'joints alone' in str(found)


def test_meters_where_millimeters_should_be(annotations, tmp_path):
    path = annotations / 'Human36M_subject1_camera.json'
    cameras = json.loads(path.read_text())
    for camera in cameras.values():
        camera['t'] = SHIFT.tolist()
    path.write_text(json.dumps(cameras))
    with pytest.raises(ValueError, match=r't=\[0.3, 0.5, 4.2\] must be in millimeters'):
        convert(annotations, tmp_path / 'out.npz')


def test_poses_in_world_axes_are_refused(annotations, tmp_path):
    """A camera whose axes are other ones, y up and z backward, turns persons upside down."""
    for path in annotations.glob('*_camera.json'):
        cameras = json.loads(path.read_text())
        for camera in cameras.values():
            camera['R'] = (rotation(np.pi, 0, 0) @ TURN).tolist()
        path.write_text(json.dumps(cameras))
    with pytest.raises(ValueError, match='samples are turned upside down'):
        convert(annotations, tmp_path / 'out.npz')


def test_mistakes(annotations, tmp_path):
    with pytest.raises(ValueError, match="split='val' must be one of train, test"):
        convert(annotations, tmp_path / 'out.npz', split='val')
    with pytest.raises(ValueError, match='every=0 must be at least 1'):
        convert(annotations, tmp_path / 'out.npz', every=0)
    (annotations / 'Human36M_subject5_joint_3d.json').unlink()
    with pytest.raises(FileNotFoundError, match='Human36M_subject5_joint_3d'):
        convert(annotations, tmp_path / 'out.npz')


@pytest.mark.parametrize(
    ('list_of', 'key', 'message'),
    [
        ('annotations', 'image_id', 'subject1_data.json, annotation 0: images has no 99'),
        ('images', 'frame_idx', "subject1_data.json, image 0 has no 'frame_idx'"),
        ('images', 'cam_idx', "subject1_camera.json has no '99'"),
    ],
)
def test_what_is_missing_is_named(annotations, tmp_path, list_of, key, message):
    path = annotations / 'Human36M_subject1_data.json'
    content = json.loads(path.read_text())
    content[list_of][0][key] = 99
    if key == 'frame_idx':
        del content[list_of][0][key]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        convert(annotations, tmp_path / 'out.npz')
