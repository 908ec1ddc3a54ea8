"""Skeletons of rendered people: joint angles drawn within human ranges, seen by a camera.

Frames: the body frame has x to the person's left, y down, z backwards, in units of the standing
height, with the origin between the hips. The camera frame has x right, y down, z away from the
viewer, in the same units; the camera has no perspective. Angles are in degrees.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

KEYPOINT_NAMES = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder',
    'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip',
    'left_knee', 'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip

SIDES = {'left': 1.0, 'right': -1.0}

Range = tuple[float, float]


class Arm(NamedTuple):
    """Ranges of an arm: pitch forwards and angle away from the body, then the forearm's change."""

    pitch: Range
    out: Range
    elbow_pitch: Range
    elbow_out: Range


class Posture(NamedTuple):
    """Ranges of the trunk and the legs, and the names of the arm positions that go with them."""

    lean: Range
    tilt: Range
    stride: Range
    hip: Range
    knee: Range
    out: Range
    arms: tuple[str, ...]


ARMS = {
    'hang': Arm((-15, 20), (8, 22), (0, 40), (-15, 5)),
    'akimbo': Arm((-20, 0), (38, 60), (5, 25), (-105, -85)),
    'raised': Arm((-15, 15), (130, 170), (-10, 20), (-20, 45)),
    'sideways': Arm((-10, 15), (65, 110), (0, 20), (-40, 40)),
    'wave': Arm((-10, 10), (60, 100), (0, 15), (60, 110)),
    'forward': Arm((20, 65), (5, 25), (20, 80), (-30, 0)),
    'swing': Arm((-5, 5), (8, 18), (15, 40), (-15, 5)),
    'pump': Arm((-10, 10), (10, 25), (75, 105), (-25, 0)),
}
FREE_ARMS = ('hang', 'akimbo', 'raised', 'sideways', 'wave', 'forward')
POSTURES = {
    'stand': Posture((-5, 8), (-6, 6), (0, 5), (-4, 6), (0, 10), (2, 14), FREE_ARMS),
    'reach': Posture((-8, 8), (-12, 12), (0, 8), (-4, 10), (0, 15), (4, 22), ('raised', 'wave')),
    'walk': Posture((0, 10), (-4, 4), (14, 30), (0, 8), (8, 35), (1, 6), ('swing', 'hang')),
    'run': Posture((6, 22), (-6, 6), (25, 45), (10, 25), (35, 95), (1, 8), ('pump',)),
    'sit': Posture((-8, 15), (-6, 6), (0, 8), (60, 90), (65, 100), (6, 30), FREE_ARMS),
    'crouch': Posture((10, 30), (-6, 6), (0, 8), (75, 110), (100, 135), (18, 45), FREE_ARMS),
    'lean': Posture((12, 40), (-22, 22), (0, 15), (0, 25), (0, 35), (6, 24), FREE_ARMS),
}
BEHIND_SHARE = 0.15  # of the figures, seen from behind
MAX_YAW = 40.0  # of the body, away from facing straight to or from the camera
MAX_ROLL = 20.0  # in the image plane


class Skeleton(NamedTuple):
    """Joints and frames in the camera frame; a frame's columns are the body axes it carries."""

    joints: dict[str, np.ndarray]
    hips: np.ndarray
    chest: np.ndarray
    head: np.ndarray


def _rotation(axis: int, degrees: float) -> np.ndarray:
    """Rotation matrix about x (0: the top comes forwards), y (1) or z (2)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def _direction(pitch: float, out: float, side: float) -> np.ndarray:
    """Where a segment that hangs down points once it is swung forwards and away from the body."""
    p, o = np.radians(pitch), np.radians(out)
    return np.array([side * np.sin(o), np.cos(o) * np.cos(p), -np.cos(o) * np.sin(p)])


def sample_skeleton(
    rng: np.random.Generator, posture: Posture, build: float, head: float
) -> Skeleton:
    """A body within a posture's ranges, seen from the front or from behind.

    Args:
        rng: Draws the angles.
        posture: Their ranges.
        build: Factor of the width of shoulders and hips.
        head: Factor of the size of the head.
    """
    lean, tilt, stride = (rng.uniform(*r) for r in (posture.lean, posture.tilt, posture.stride))
    stride *= rng.choice([-1, 1])
    yaw = rng.uniform(-MAX_YAW, MAX_YAW) + 180 * (rng.random() < BEHIND_SHARE)
    roll = rng.uniform(-MAX_ROLL, MAX_ROLL) * rng.random()
    view = _rotation(2, roll) @ _rotation(0, rng.uniform(0, 14)) @ _rotation(1, yaw)
    trunk = _rotation(2, tilt) @ _rotation(0, lean) @ _rotation(1, rng.uniform(-12, 12))
    look_round = _rotation(1, rng.uniform(-25, 25)) @ _rotation(0, rng.uniform(-10, 15))
    neck_tilt = _rotation(2, rng.uniform(-10, 10) - tilt / 2)

    joints = {'pelvis': np.zeros(3), 'neck': trunk @ np.array([0, -0.3, 0])}
    head_frame = _rotation(0, lean / 2) @ neck_tilt @ look_round
    joints['head'] = joints['neck'] + trunk @ np.array([0, -0.035, -0.01])
    joints['head'] = joints['head'] + head_frame @ np.array([0, -0.075 * head, -0.01])
    for name, side in SIDES.items():
        joints |= _sample_leg(rng, posture, build, name, side, stride)
        shoulder = trunk @ np.array([side * 0.112 * build, -0.285, 0])
        joints |= _sample_arm(rng, ARMS[rng.choice(posture.arms)], name, side, shoulder, stride)
    joints = {name: view @ point for name, point in joints.items()}
    return Skeleton(joints, view, view @ trunk, view @ head_frame)


def _sample_leg(
    rng: np.random.Generator, posture: Posture, build: float, name: str, side: float, stride: float
) -> dict[str, np.ndarray]:
    pitch, out = rng.uniform(*posture.hip) + side * stride, rng.uniform(*posture.out)
    knee_bend = rng.uniform(*posture.knee)
    hip = np.array([side * 0.075 * build, 0, 0])
    knee = hip + 0.245 * _direction(pitch, out, side)
    ankle = knee + 0.235 * _direction(pitch - knee_bend, out * 0.5, side)
    foot = _direction(min(pitch - knee_bend + 85, 95), 12, side)
    points = {'hip': hip, 'knee': knee, 'ankle': ankle, 'toe': ankle + 0.085 * foot}
    points['heel'] = ankle + np.array([0, 0.025, 0.01])
    return {f'{name}_{key}': point for key, point in points.items()}


def _sample_arm(
    rng: np.random.Generator, arm: Arm, name: str, side: float, shoulder: np.ndarray, stride: float
) -> dict[str, np.ndarray]:
    swing = -side * stride if arm in (ARMS['swing'], ARMS['pump']) else 0.0
    pitch, out = rng.uniform(*arm.pitch) + swing, rng.uniform(*arm.out)
    fore = _direction(
        pitch + rng.uniform(*arm.elbow_pitch), out + rng.uniform(*arm.elbow_out), side
    )
    elbow = shoulder + 0.165 * _direction(pitch, out, side)
    points = {'shoulder': shoulder, 'elbow': elbow, 'wrist': elbow + 0.145 * fore}
    points['hand'] = elbow + 0.18 * fore
    return {f'{name}_{key}': point for key, point in points.items()}
