import cv2
import numpy as np
import pytest
from scipy.io import savemat

from hsjp_mm.datasets.converters.surreal import CAMERA, WORLD_TO_CAMERA, convert
from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.models.body_models.by_gender import BodiesByGender
from hsjp_mm.models.body_models.smpl_files import FREE_BODY, read_arrays
from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices
from tests.datasets.converters.scene import (
    project,
    rest_pelvis,
    rotation,
    skin,
    smpl_folder,
    vector,
)
from tests.helpers import cuts

PLACE = np.array([6.7, -0.9, 0.3])
MIRROR = mirror_indices(joint_names('smpl_24'))
ZROT = 2.7


def render(seed: int):
    """Pose a body in the scene as the data set's own code does, and see it by its camera.

    Returns:
        What the file holds: pose, shape, the joints in the scene and on the image; and what is to
        be seen, the vertices in the camera's axes.
    """
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.2, (24, 3))
    pose[0] = vector(rotation(np.pi / 2, 0, 0) @ rotation(0.1, 0.3, 0))  # the capture has z up
    shape = rng.normal(0, 1, 10)
    scene = pose.copy()
    scene[0] = vector(rotation(np.pi / 2, 0, 0) @ rotation(0, 0, ZROT) @ rotation(*pose[0]))
    joints, vertices = skin(scene, shape, -rest_pelvis(shape) + [0.2, -0.8, 0.1])
    points = project((joints - PLACE) @ WORLD_TO_CAMERA.T, CAMERA)
    return pose, shape, joints, np.round(points), (vertices - PLACE) @ WORLD_TO_CAMERA.T


def write_clip(root, frames: int, gender: int = 0, name: str = '01_01', run: str = 'run0'):
    rendered = [render(seed) for seed in range(frames)]
    poses, shapes, joints, points, _ = (
        np.stack(one, axis=-1) for one in zip(*rendered, strict=True)
    )
    folder = root / 'train' / run / name
    folder.mkdir(parents=True)
    info = {
        'gender': np.full((frames, 1), gender, np.uint8),
        'joints2D': points.transpose(1, 0, 2).astype(np.float32),
        'joints3D': joints.transpose(1, 0, 2).astype(np.float32),
        'pose': poses.reshape(72, frames).astype(np.float32),
        'shape': shapes.astype(np.float32),
        'zrot': np.full((frames, 1), ZROT, np.float32),
        'camLoc': PLACE[:, None].astype(np.float32),
    }
    if frames == 1:  # as its files lose the last axis
        info |= {key: info[key][..., 0] for key in ('joints2D', 'joints3D')}
    savemat(folder / f'{name}_c0001_info.mat', info)
    return folder, rendered


def test_the_body_is_the_one_to_be_seen(tmp_path):
    """Its vertices are where the data set's own camera sees them, with left and right as seen."""
    _, rendered = write_clip(tmp_path / 'cmu', 3)
    bodies = BodiesByGender(smpl_folder(tmp_path / 'smpl'))
    found = convert(tmp_path / 'cmu', tmp_path / 'out.npz', bodies=bodies)
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert found.number == 3
    other = read_arrays(FREE_BODY)['vertex_mirror']
    for row, (*_, points, seen) in enumerate(rendered):
        joints, vertices = skin(
            labels['pose'][row], labels['shape'][row], labels['translation'][row]
        )
        # the body is nearly as symmetric as its mirror says
        assert np.abs(vertices[other] - seen).mean() < 2e-3
        np.testing.assert_allclose(labels['joints'][row, :, :3], joints, atol=6e-3)
        np.testing.assert_allclose(labels['keypoints'][row, MIRROR, :2], points, atol=1e-4)
        off = np.abs(project(joints, CAMERA) - labels['keypoints'][row, :, :2])
        assert off.max() < 1.2
    assert labels['gender'].tolist() == ['female'] * 3
    assert labels['image_path'][2] == 'train/run0/01_01/01_01_c0001/000002.jpg'
    assert labels['camera'][0].tolist() == [600, 600, 160, 120]


def test_clips_of_one_frame_and_men(tmp_path):
    write_clip(tmp_path / 'cmu', 1, gender=1)
    found = convert(tmp_path / 'cmu', tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert found.number == 1
    assert labels['gender'].tolist() == ['male']
    assert 'no translations' in str(found)


def test_frames_and_parts(tmp_path):
    folder, _ = write_clip(tmp_path / 'cmu', 5)
    video = cv2.VideoWriter(
        str(folder / '01_01_c0001.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 10, (320, 240)
    )
    for frame in range(5):
        video.write(np.full((240, 320, 3), 50 * frame, np.uint8))
    video.release()
    parts = np.zeros((240, 320), np.uint8)
    parts[:, :10] = 1 + joint_names('smpl_24').index('left_knee')
    parts[:, 20:] = 1
    savemat(folder / '01_01_c0001_segm.mat', {f'segm_{frame + 1}': parts for frame in range(5)})
    frames = tmp_path / 'frames'
    found = convert(tmp_path / 'cmu', tmp_path / 'out.npz', every=2, frames=frames)
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert (found.number, found.left_out) == (3, {'of frames between': 2})
    assert labels['frame'].tolist() == [0, 2, 4]
    for name, frame in zip(labels['image_path'], labels['frame'], strict=True):
        assert abs(cv2.imread(str(frames / name)).mean() - 50 * frame) < 8
    drawn = cv2.imread(str(frames / labels['part_map_path'][1]), cv2.IMREAD_UNCHANGED)
    assert (drawn[:, :10] == 1 + joint_names('smpl_24').index('right_knee')).all()
    assert not drawn[:, 10:20].any()
    assert (drawn[:, 20:] == 1).all()


def test_joints_of_another_camera_are_refused(tmp_path):
    folder, rendered = write_clip(tmp_path / 'cmu', 2)
    file = folder / '01_01_c0001_info.mat'
    from scipy.io import loadmat

    info = {key: value for key, value in loadmat(file).items() if key[0] != '_'}
    savemat(file, {**info, 'joints2D': info['joints2D'][:, MIRROR]})
    with pytest.raises(ValueError, match='pixels beside the 2D ones'):
        convert(tmp_path / 'cmu', tmp_path / 'out.npz')
    savemat(file, {key: value for key, value in info.items() if key != 'zrot'})
    with pytest.raises(ValueError, match=r'info.mat lacks zrot'):
        convert(tmp_path / 'cmu', tmp_path / 'out.npz')
    assert rendered


def test_mistakes(tmp_path):
    with pytest.raises(ValueError, match="split='x' must be one of train, val, test"):
        convert(tmp_path, tmp_path / 'out.npz', split='x')
    with pytest.raises(ValueError, match='every=0 must be at least 1'):
        convert(tmp_path, tmp_path / 'out.npz', every=0)
    with pytest.raises(FileNotFoundError, match=r'has no run\*/\*/\*_info.mat'):
        convert(tmp_path, tmp_path / 'out.npz')


def test_a_file_that_is_cut_off_is_named(tmp_path):
    folder, _ = write_clip(tmp_path, 2)
    for _ in cuts(folder / '01_01_c0001_info.mat'):
        with pytest.raises(ValueError, match=r'01_01_c0001_info\.mat (cannot be read: |lacks )'):
            convert(tmp_path, tmp_path / 'out.npz')
