import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from hsjp_mm.ops.keypoint_orders import (
    JOINT_SETS,
    joint_names,
    mapping,
    mirror_indices,
    other_side,
)


def test_sets_have_as_many_joints_as_they_say_each_once_and_both_sides():
    for name, joints in JOINT_SETS.items():
        number = next(int(part) for part in name.split('_') if part.isdigit())
        assert len(joints) == len(set(joints)) == number
        assert {other_side(joint) for joint in joints} == set(joints)


def test_smpls_order_and_mirror():
    assert joint_names('smpl_24')[7:13] == (
        'left_ankle', 'right_ankle', 'spine3', 'left_foot', 'right_foot', 'neck',
    )  # fmt: skip
    expected = '0 2 1 3 5 4 6 8 7 9 11 10 12 14 13 15 17 16 19 18 21 20 23 22'
    assert mirror_indices(joint_names('smpl_24')) == [int(i) for i in expected.split()]


def test_coco_is_mmposes():
    metainfo = parse_pose_metainfo({'from_file': 'configs/_base_/datasets/coco.py'})
    names = [metainfo['keypoint_id2name'][i] for i in range(17)]
    assert list(joint_names('coco_17')) == names
    assert mirror_indices(names) == metainfo['flip_indices']


def test_the_two_orders_of_human36m():
    """SPIN's index lists for its own and for the data set's order name the same 14 joints."""
    left_first, own = joint_names('h36m_17_left_first'), joint_names('h36m_17')
    common = joint_names('common_14')
    assert mapping(left_first, common) == [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
    assert mapping(own, common) == [3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13, 8, 10]
    assert mapping(own, left_first) == [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]


def test_mupots_by_the_numbers_of_its_official_script():
    """Its parents, counted from 1: each bone joins neighbours of the body."""
    names = joint_names('mupots_17')
    parents = [2, 16, 2, 3, 4, 2, 6, 7, 15, 9, 10, 15, 12, 13, 15, 15, 2]
    bones = {name: names[parent - 1] for name, parent in zip(names, parents, strict=True)}
    assert bones['head_top'] == bones['right_shoulder'] == bones['left_shoulder'] == 'neck'
    assert bones['left_wrist'] == 'left_elbow'
    assert bones['right_ankle'] == 'right_knee'
    assert bones['left_hip'] == bones['spine'] == 'pelvis'
    assert bones['neck'] == 'spine'
    assert bones['head'] == 'neck'


def test_mistakes_name_what_there_is():
    with pytest.raises(ValueError, match="joint_set='coco' must be one of smpl_24, coco_17"):
        joint_names('coco')
    with pytest.raises(ValueError, match='source lacks neck, head_top; it has nose'):
        mapping(joint_names('coco_17'), joint_names('common_14'))
