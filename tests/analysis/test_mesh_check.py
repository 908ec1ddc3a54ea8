import cv2
import numpy as np
import pytest

from hsjp_mm.analysis.mesh_check import check_mesh
from hsjp_mm.visualization.data_check import contact_sheet
from tests.datasets.mesh_labels import made_up_labels, write_made_up

COLUMN = np.array([0, 0, 0, 60], np.float32)


def sound() -> dict:
    """Labels in which nothing is conspicuous: hips as the pose says, a box each, no camera."""
    labels = made_up_labels()
    labels['joints'][:, 4, 0] = 0.2  # the left hip, of an upright person facing away from x
    labels['joints'][:, 1, 0] = 0.0
    labels['shape'] = labels['shape'] / 10
    labels['box'] = labels['box'] + np.arange(6, dtype=np.float32)[:, None]
    labels['camera'] = None
    return labels


def problems(tmp_path, **changes) -> list[str]:
    path = write_made_up(tmp_path, **{**sound(), **changes})
    return check_mesh(path, tmp_path).problems


def test_what_is_labelled(tmp_path):
    found = check_mesh(write_made_up(tmp_path, **sound()), tmp_path)
    assert found.problems == []
    said = '\n'.join(line for lines in found.sections.values() for line in lines)
    for line in (
        '6 samples in 3 images of 2 sequences',
        '6 with keypoints of coco_17, 17.0 of 17 on average',
        'it has not, of mesh_22: neck, head_top, pelvis, spine, jaw',
        '6 with pose\n5 with shape\n5 with translation',
        'the body is smpl: 2 female, 2 male, 2 neutral',
        '0 with a camera',
        '3 of 3 can be read',
        'nothing is conspicuous',
    ):
        assert line in said, line
    assert len(found.boxes['a/0.png']) == 2
    assert found.boxes['a/0.png'][0][0] == [4, 6, 26, 30]
    sheet = contact_sheet(found)
    green = (sheet == [0, 190, 60]).all(axis=2).sum()
    assert green > 100


def test_samples_twice_and_values_far_out(tmp_path):
    labels = sound()
    labels['box'][1] = labels['box'][0]
    assert problems(tmp_path, box=labels['box'])[0].startswith(
        '2 of 6 samples are there more than once, by image and box, ids: 100, 101'
    )
    points = sound()['keypoints']
    points[3, 2, 0] = 200
    points[4, 2] = [200, 0, 0]  # not labelled
    assert problems(tmp_path, keypoints=points) == [
        '1 of 6 samples have points far outside of their boxes, ids: 103'
    ]
    joints = sound()['joints']
    joints[5, 3, 1] = 3
    assert problems(tmp_path, joints=joints) == [
        '1 of 6 samples have joints 1.5 m and more from the others, ids: 105'
    ]
    shape = sound()['shape']
    shape[2, 3] = -6
    shape[1, 3] = -6  # has none
    assert problems(tmp_path, shape=shape) == [
        '1 of 6 samples have shapes beyond 5 standard deviations, ids: 102'
    ]
    nothing = np.zeros((6, 17, 3), np.float32)
    without = problems(
        tmp_path, keypoints=nothing, joints=None, joint_set='', has_pose=np.arange(6) > 1
    )
    assert without == ['2 of 6 samples have no label but the box, ids: 100, 101']


def test_axes_and_cameras(tmp_path):
    pose = sound()['pose']
    pose[:, 0] = 0
    (upside_down,) = problems(tmp_path, pose=pose)
    assert 'turned upside down' in upside_down
    labels = sound()
    camera = np.tile(np.array([100, 100, 22, 20], np.float32), (6, 1))
    labels['joints'][:, :, :3] = [0, 0, 2]
    labels['joints'][:, 4, 0] = 0.1
    labels['joints'][:, 0, 1] = 0.4
    labels['translation'][:] = [0.1, 0, 3]
    beside = problems(tmp_path, joints=labels['joints'], camera=camera)
    assert beside == []
    away = problems(tmp_path, joints=labels['joints'], camera=camera + COLUMN)
    assert 'joints project to' in away[-1]


def test_images_and_part_maps(tmp_path):
    maps = np.array(['p/0.png', 'p/1.png', 'p/2.png', 'p/3.png', 'p/4.png', ''])
    path = write_made_up(tmp_path, **{**sound(), 'part_map_path': maps})
    (tmp_path / 'p').mkdir()
    parts = np.ones((48, 64), np.uint8)
    cv2.imwrite(str(tmp_path / 'p/0.png'), parts)
    cv2.imwrite(str(tmp_path / 'p/1.png'), 25 * parts)
    cv2.imwrite(str(tmp_path / 'p/2.png'), parts)  # its image is 48×64
    cv2.imwrite(str(tmp_path / 'p/3.png'), np.zeros((64, 48), np.uint8))
    cv2.imwrite(str(tmp_path / 'b/2.png'), np.zeros((40, 41, 3), np.uint8))
    (tmp_path / 'a/0.png').write_bytes(b'no image')
    (tmp_path / 'a/1.png').unlink()
    found = check_mesh(path, tmp_path)
    said = '\n'.join(found.problems)
    for line in (
        '1 of 3 do not exist: a/1.png',
        '1 of 3 cannot be read, or are damaged: training takes others in their place: a/0.png',
        'have another size than the file says: training takes others in their place: b/2.png',
        '1 of 5 part maps do not exist, or cannot be read: p/4.png',
        '1 of 5 part maps are no 8-bit images of 0 to 24: p/1.png',
        '1 of 5 part maps have another size than their images: p/2.png',
        '1 of 5 part maps show nothing of their persons: p/3.png',
    ):
        assert line in said, line


def test_mistakes(tmp_path):
    with pytest.raises(FileNotFoundError, match='folder='):
        check_mesh(tmp_path / 'a.npz', tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match='ann_file='):
        check_mesh(tmp_path / 'a.npz', tmp_path)
