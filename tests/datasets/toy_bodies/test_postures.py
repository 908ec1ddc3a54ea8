"""Postures: within the limits, mirrored between the sides, limbs not in each other."""

import numpy as np
import pytest

from hsjp_mm.datasets.toy_bodies.postures import (
    JOINTS,
    LIMITS,
    MIRROR,
    POSTURES,
    _arm,
    _leg,
    draw_pose,
    intrusion,
    turn,
)
from hsjp_mm.datasets.toy_bodies.scenes import free_body

ARM = dict(
    shoulder_pitch=0, shoulder_out=90, shoulder_turn=0, elbow=0, forearm=0, wrist=0
)  # fmt: skip
LEG = dict(hip_pitch=0, hip_out=0, hip_turn=0, knee=0, ankle=0)


def posed(side=0, **limbs):
    """The free body's joints by name, with rotations of left limbs put onto a side."""
    rotations = np.tile(np.eye(3), (1, 24, 1, 1))
    for joint, rotation in limbs.items():
        name = f'{("left", "right")[side]}_{joint}'
        rotations[0, JOINTS[name]] = MIRROR @ rotation @ MIRROR if side else rotation
    [joints] = free_body().pose(rotations, np.zeros((1, 10)))[1]
    return {name: joints[i] for name, i in JOINTS.items()}


@pytest.mark.parametrize(
    ('angles', 'bone', 'direction'),
    [
        (dict(shoulder_out=0), ('shoulder', 'elbow'), (0, -1, 0)),
        # the shoulder comes forwards with the arm, and turns it inwards a bit
        (dict(shoulder_out=0, shoulder_pitch=90), ('shoulder', 'elbow'), (-0.09, 0, 1)),
        (dict(shoulder_out=0, elbow=90), ('elbow', 'wrist'), (0, 0, 1)),
        # turned inwards, the bent forearm lies across the belly
        (dict(shoulder_out=0, elbow=90, shoulder_turn=80), ('elbow', 'wrist'), (-0.98, 0, 0.17)),
        # the arm to the side, turned outwards: the forearm is up
        (dict(elbow=90, shoulder_turn=-85), ('elbow', 'wrist'), (0, 1, 0.09)),
    ],
)
def test_arms_go_where_the_angles_say(angles, bone, direction):
    for side, sign in ((0, 1), (1, -1)):
        name = ('left', 'right')[side]
        joints = posed(side, **_arm({**ARM, **angles}))
        found = joints[f'{name}_{bone[1]}'] - joints[f'{name}_{bone[0]}']
        found /= np.linalg.norm(found)
        np.testing.assert_allclose(found * (sign, 1, 1), direction, atol=0.01)


@pytest.mark.parametrize(
    ('angles', 'bone', 'direction'),
    [
        (dict(hip_pitch=90), ('hip', 'knee'), (0, 0, 1)),
        (dict(hip_out=45), ('hip', 'knee'), (0.71, -0.71, 0)),
        (dict(knee=90), ('knee', 'ankle'), (0, 0, -1)),
        (dict(hip_pitch=90, knee=90), ('knee', 'ankle'), (0, -1, 0)),
    ],
)
def test_legs_go_where_the_angles_say(angles, bone, direction):
    for side, sign in ((0, 1), (1, -1)):
        name = ('left', 'right')[side]
        joints = posed(side, **_leg({**LEG, **angles}))
        found = joints[f'{name}_{bone[1]}'] - joints[f'{name}_{bone[0]}']
        found /= np.linalg.norm(found)
        # the leg of the body at rest leans forwards by 5 degrees
        np.testing.assert_allclose(found * (sign, 1, 1), direction, atol=0.12)


def test_toes_go_up():
    rest, raised = posed(), posed(**_leg({**LEG, 'ankle': 20}))
    assert raised['left_foot'][1] > rest['left_foot'][1] + 0.03


def test_shares_make_a_whole_and_every_posture_is_drawn():
    assert sum(posture.share for posture in POSTURES.values()) == pytest.approx(1)
    rng = np.random.default_rng(0)
    assert {draw_pose(rng).name for _ in range(300)} == set(POSTURES)


def test_rotations_turn_no_further_than_joints_can():
    rng = np.random.default_rng(1)
    rotations = np.stack([draw_pose(rng).rotations for _ in range(300)])
    identity = np.einsum('njab,njcb->njac', rotations, rotations)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-12)
    traces = np.trace(rotations, axis1=2, axis2=3)
    angles = np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1))).max(axis=0)
    for side in ('left', 'right'):
        knee, elbow = angles[JOINTS[f'{side}_knee']], angles[JOINTS[f'{side}_elbow']]
        assert 90 < knee <= LIMITS['knee'][1]
        assert 90 < elbow <= LIMITS['elbow'][1]
        # a knee bends one way only: the shin turns about x, backwards
        bent = rotations[:, JOINTS[f'{side}_knee']]
        assert (bent[:, 2, 1] >= -1e-12).all()
        np.testing.assert_allclose(bent[:, 0, 0], 1)
    for joint in ('spine1', 'spine2', 'spine3', 'neck', 'head'):
        assert angles[JOINTS[joint]] < 60


def test_both_sides_do_the_same_things():
    rng = np.random.default_rng(2)
    rotations = np.stack([draw_pose(rng).rotations for _ in range(1500)])
    for joint in ('shoulder', 'hip', 'knee'):
        left, right = (
            rotations[:, JOINTS[f'{side}_{joint}']].mean(axis=0) for side in ('left', 'right')
        )
        np.testing.assert_allclose(left, MIRROR @ right @ MIRROR, atol=0.06)


def test_a_hand_in_the_belly_is_found_and_one_on_the_hip_is_not():
    [rest] = free_body().pose(np.tile(np.eye(3), (1, 24, 1, 1)), np.zeros((1, 10)))[1]
    assert intrusion(rest[None])[0] < 0
    hand = rest.copy()
    hand[[JOINTS['left_wrist'], JOINTS['left_hand']]] = (
        rest[JOINTS['spine1']],
        rest[JOINTS['spine2']],
    )
    crossed = rest.copy()
    for joint in ('knee', 'ankle', 'foot'):
        crossed[JOINTS[f'left_{joint}'], 0] = rest[JOINTS[f'right_{joint}'], 0]
    deep = intrusion(np.stack([hand, crossed]))
    assert (deep > 0.05).all()


def test_a_turn_is_counterclockwise():
    np.testing.assert_allclose(turn('z', 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(turn('x', 90) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(turn('y', 90) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
