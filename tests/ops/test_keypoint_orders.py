import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from hsjp_mm.ops.keypoint_orders import (
    JOINT_SETS,
    joint_names,
    mapping,
    mirror_indices,
    other_side,
    shared,
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


def test_spins_labels_by_the_index_lists_of_its_code():
    spin, openpose = joint_names('spin_24'), joint_names('openpose_25')
    expected = '19 20 21 22 23 9 8 10 7 11 6 3 2 4 1 5 0'
    assert mapping(spin, joint_names('coco_17')) == [int(i) for i in expected.split()]
    expected = '0 1 2 3 4 5 14 15 12 13 6 7 8 9 10 11'
    assert mapping(spin, joint_names('mpii_16')) == [int(i) for i in expected.split()]
    expected = '5 4 3 2 1 0 11 10 9 8 7 6 12 13 14 15 16 17 18 19 21 20 23 22'
    assert mirror_indices(spin) == [int(i) for i in expected.split()]
    expected = '0 1 5 6 7 2 3 4 8 12 13 14 9 10 11 16 15 18 17 22 23 24 19 20 21'
    assert mirror_indices(openpose) == [int(i) for i in expected.split()]
    assert joint_names('spin_49')[25:] == spin
    assert [name.removesuffix('_openpose') for name in joint_names('spin_49')[:25]] == [*openpose]


def test_openpose_and_spin_as_points_of_smpl():
    """SPIN takes them from smplx's 45 points by this list of its code; 45 and on are others."""
    expected = '24 12 17 19 21 16 18 20 0 2 5 8 1 4 7 25 26 27 28 29 30 31 32 33 34'
    numbers = mapping(joint_names('smpl_45'), joint_names('openpose_25'))
    assert numbers == [int(i) for i in expected.split()]


def test_mpii_is_mmposes():
    metainfo = parse_pose_metainfo({'from_file': 'configs/_base_/datasets/mpii.py'})
    names = [metainfo['keypoint_id2name'][i].replace('upper_', '') for i in range(16)]
    assert list(joint_names('mpii_16')) == names


def test_what_two_sets_share():
    here, there = shared(('nose', 'neck', 'left_toe'), ('neck', 'pelvis', 'nose'))
    assert (here, there) == ([1, 0], [0, 2])
    for source in ('coco_17', 'common_14', 'h36m_17'):
        names = joint_names(source)
        here, there = shared(names, joint_names('mesh_22'))
        assert [joint_names('mesh_22')[i] for i in there] == [names[i] for i in here]
        assert len(here) == len(names)


def test_mistakes_name_what_there_is():
    with pytest.raises(ValueError, match="joint_set='coco' must be one of smpl_24, coco_17"):
        joint_names('coco')
    with pytest.raises(ValueError, match='source lacks neck, head_top; it has nose'):
        mapping(joint_names('coco_17'), joint_names('common_14'))
