import re

import numpy as np
import pytest

from hsjp_mm.datasets.mesh_files import ARRAYS, FORMAT, read_mesh_file, write_mesh_file
from tests.datasets.mesh_labels import made_up_labels


def test_comes_back_as_it_was_written(tmp_path):
    labels = made_up_labels()
    write_mesh_file(tmp_path / 'deep/labels.npz', labels)
    read = read_mesh_file(tmp_path / 'deep/labels.npz')
    assert len(read) == 6
    assert (read.body, read.keypoint_set, read.joint_set) == ('smpl', 'coco_17', 'h36m_17')
    for key in labels.keys() & ARRAYS.keys():
        np.testing.assert_array_equal(read[key], labels[key])
    assert (read['part_map_path'] == '').all()
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['labels.npz']
    with np.load(tmp_path / 'deep/labels.npz', allow_pickle=False) as file:
        assert str(file['format']) == FORMAT


def test_what_is_left_out_is_unknown(tmp_path):
    labels = made_up_labels()
    few = {key: labels[key] for key in ('image_path', 'image_size', 'box', 'id')}
    write_mesh_file(tmp_path / 'labels.npz', few)
    read = read_mesh_file(tmp_path / 'labels.npz')
    assert 'keypoints' not in read
    assert not read['has_pose'].any()
    assert np.isnan(read['camera']).all()
    assert (read['frame'] == -1).all()
    assert read.body == 'none'


def changed(key, index, value):
    array = made_up_labels()[key].copy()
    array[index] = value
    return {key: array}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (changed('keypoints', (2, 5, 1), np.nan), 'keypoints[2, 5, 1] is nan, and must be finite'),
        (changed('keypoints', (2, 5, 2), 1.5), 'keypoints[2, 5] is [15.0, 22.0, 1.5], and must be'),
        (changed('box', (3, 2), 4), 'box[3] is [4.0, 6.0, 4.0, 36.0], and must be left, top'),
        (changed('id', 4, 100), 'id[4] is 100, and must be there once'),
        (changed('image_path', 1, '/a/0.p'), 'image_path[1] is /a/0.p, and must be a path below'),
        (changed('image_path', 0, 'C:\\0.png'), 'image_path[0]'),
        (changed('image_path', 0, 'a/../../0'), 'image_path[0]'),
        (changed('image_size', (0, 1), 0), 'image_size[0] is [64, 0], and must be width and'),
        (changed('camera', (1, 0), np.nan), 'camera[1]'),
        (changed('translation', (0, 2), -3), 'translation[0] is [0.0, 0.0, -3.0], and must be bef'),
        ({'gender': np.full(6, 'm')}, 'gender[0] is m, and must be one of neutral, male, female'),
        ({'joints': made_up_labels()['joints'] * [1000, 1000, 1000, 1]}, 'which no body is in met'),
        ({'pose': np.zeros((6, 72), np.float32)}, 'pose must be (N=6, 24, 3); it is (6, 72)'),
        ({'keypoint_set': 'mpii_16'}, 'keypoints must be (N=6, K, 3), keypoint_set has 16; it is'),
        ({'joint_set': 'h36m'}, "joint_set: joint_set='h36m' must be one of smpl_24"),
        ({'has_pose': np.ones(6)}, 'has_pose must be of type bool, it is float64'),
        ({'id': np.zeros((6, 1), int)}, 'id must be (N=6); it is (6, 1)'),
        ({'body': 'none'}, "pose needs body, one of 'free' and 'smpl'"),
        ({'body': 'smplx'}, "body='smplx' must be one of free, smpl, none"),
        ({'pelvis': np.zeros(6)}, 'pelvis is not of image_path, image_size'),
        ({'part_map_path': np.full(6, 'a.png')}, 'part_map_path[1] is a.png, and must be of one'),
    ],
)  # fmt: skip
def test_mistakes_name_file_array_and_place(tmp_path, changes, message):
    with pytest.raises(ValueError, match=rf'^labels.npz: .*{re.escape(message)}'):
        write_mesh_file(tmp_path / 'labels.npz', {**made_up_labels(), **changes})
    assert not list(tmp_path.iterdir())


def test_a_pose_needs_the_word_which_samples_have_one(tmp_path):
    labels = made_up_labels()
    del labels['has_pose']
    with pytest.raises(ValueError, match='pose and has_pose need one another'):
        write_mesh_file(tmp_path / 'labels.npz', labels)


def test_no_pickle_is_read(tmp_path):
    path = tmp_path / 'labels.npz'
    np.savez(path, format=np.array(FORMAT), image_path=np.array(['a', None], object))
    with pytest.raises(ValueError, match='cannot be read as labels of meshes'):
        read_mesh_file(path)
    path.write_bytes(b'PK')
    with pytest.raises(ValueError, match='cannot be read as labels of meshes'):
        read_mesh_file(path)
    np.savez(path, imgname=np.array(['a']))
    with pytest.raises(ValueError, match=r"format='' must be 'hsjp_mm.mesh.1'; `hsjp-mm convert"):
        read_mesh_file(path)
    with pytest.raises(FileNotFoundError, match='ann_file='):
        read_mesh_file(tmp_path / 'other.npz')
