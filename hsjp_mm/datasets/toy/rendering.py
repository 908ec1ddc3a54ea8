"""Rendered people with COCO keypoints: data for the demo and the tests, made on the spot.

A figure is a chain of 3D joints whose angles are drawn within human ranges, seen by a camera
without perspective. The light always comes from the upper left, so that the content of an image
patch tells which side of the body it shows. Nothing is downloaded; the same seed gives the same
bytes.

Frames: the body frame has x to the person's left, y down, z backwards, in units of the standing
height, with the origin between the hips. The camera frame has x right, y down, z away from the
viewer, in the same units. Image points are (x, y) in pixels, the first pixel's centre is (0, 0).
Angles are in degrees, colours are BGR in 0..255.

Shape letters: P points of a polygon, K = 17 keypoints, H and W the image's height and width.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

KEYPOINT_NAMES = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder',
    'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip',
    'left_knee', 'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip
FIRST_IMAGE_ID = {'train': 1, 'val': 1_000_001}  # no id stands in both splits

# Parts that may cover a joint that still counts as seen: clothes do not hide it, other limbs do.
SUPPORTS = {
    'shoulder': ('torso', 'upper_arm'), 'elbow': ('upper_arm', 'forearm'), 'wrist': ('forearm',),
    'hip': ('torso', 'pelvis', 'thigh'), 'knee': ('pelvis', 'thigh', 'shin'), 'ankle': ('shin',),
}  # fmt: skip
# A part's value in the part map is its place here plus one; 0 is "no figure".
PARTS = (
    'hair', 'head', 'torso', 'pelvis', 'left_upper_arm', 'right_upper_arm', 'left_forearm',
    'right_forearm', 'left_thigh', 'right_thigh', 'left_shin', 'right_shin',
)  # fmt: skip

SIDES = {'left': 1.0, 'right': -1.0}
LIGHT = np.array([-0.8, -0.6])  # towards the light, in the image
CIRCLE = np.exp(1j * np.arange(16) * np.pi / 8).view(float).reshape(-1, 2)
SUPERSAMPLING = 2
JPEG_QUALITY = 92

# The trunk's outline from the collar (0) to the hips (1): half its width and half its depth.
TRUNK_LEVELS = (0.0, 0.1, 0.35, 0.65, 1.0)
TRUNK_WIDTHS = (0.05, 0.125, 0.118, 0.09, 0.112)
TRUNK_DEPTHS = (0.035, 0.05, 0.068, 0.056, 0.068)

# Places on the head, as a unit sphere in the body frame (forward is -z), before its stretching.
FACE = {
    'nose': (0.0, 0.2, -0.98), 'left_eye': (0.4, -0.08, -0.91), 'right_eye': (-0.4, -0.08, -0.91),
    'left_ear': (1.0, 0.08, 0.1), 'right_ear': (-1.0, 0.08, 0.1),
}  # fmt: skip

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

SKIN_TONES = ((196, 220, 246), (160, 196, 234), (124, 164, 212), (92, 130, 184), (62, 92, 140),
              (42, 62, 100))  # fmt: skip
HAIR_TONES = ((24, 24, 28), (30, 46, 74), (52, 84, 128), (96, 168, 214), (40, 70, 168),
              (176, 178, 182))  # fmt: skip


class Look(NamedTuple):
    """What a figure wears and how it is built; colours are arrays of shape (3,)."""

    skin: np.ndarray
    hair: np.ndarray
    shirt: np.ndarray
    print_colour: np.ndarray
    bottom: np.ndarray
    shoes: np.ndarray
    pattern: str
    sleeves: str
    legwear: str
    hair_style: str
    build: float
    head: float


class Skeleton(NamedTuple):
    """Joints and frames in the camera frame; a frame's columns are the body axes it carries."""

    joints: dict[str, np.ndarray]
    hips: np.ndarray
    chest: np.ndarray
    head: np.ndarray


class Shape(NamedTuple):
    """A filled polygon of shape (P, 2); with a contour, so that limbs of one colour stay apart."""

    polygon: np.ndarray
    colour: np.ndarray
    contour: bool = False


class Part(NamedTuple):
    """Shapes that are drawn together, and the depth that orders the parts from far to near."""

    name: str
    depth: float
    shapes: list[Shape]


class Figure(NamedTuple):
    """A person ready to be drawn: parts from far to near, in units of the standing height.

    Attributes:
        parts: What is drawn.
        keypoints: Shape (K, 2).
        turned_away: Shape (K,), True where a face point lies on the far side of the head.
    """

    parts: list[Part]
    keypoints: np.ndarray
    turned_away: np.ndarray

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest (x, y) of all that is drawn."""
        points = np.concatenate([s.polygon for part in self.parts for s in part.shapes])
        return points.min(axis=0), points.max(axis=0)


# --- Pose -----------------------------------------------------------------------------------------


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


def _sample_skeleton(rng: np.random.Generator, posture: Posture, look: Look) -> Skeleton:
    """A body within a posture's ranges, seen from the front or from behind."""
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
    joints['head'] = joints['head'] + head_frame @ np.array([0, -0.075 * look.head, -0.01])
    for name, side in SIDES.items():
        joints |= _sample_leg(rng, posture, look, name, side, stride)
        shoulder = trunk @ np.array([side * 0.112 * look.build, -0.285, 0])
        joints |= _sample_arm(rng, ARMS[rng.choice(posture.arms)], name, side, shoulder, stride)
    joints = {name: view @ point for name, point in joints.items()}
    return Skeleton(joints, view, view @ trunk, view @ head_frame)


def _sample_leg(
    rng: np.random.Generator, posture: Posture, look: Look, name: str, side: float, stride: float
) -> dict[str, np.ndarray]:
    pitch, out = rng.uniform(*posture.hip) + side * stride, rng.uniform(*posture.out)
    knee_bend = rng.uniform(*posture.knee)
    hip = np.array([side * 0.075 * look.build, 0, 0])
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


# --- Body -----------------------------------------------------------------------------------------


def _sample_look(rng: np.random.Generator, posture: Posture, backdrop: np.ndarray) -> Look:
    """Clothes and build; of three colours the one least like the backdrop, shape (3,), is worn."""
    skirts = 0.0 if max(posture.hip) > 45 else 0.2  # between bent legs a skirt would hide the knees

    def unlike(other: np.ndarray) -> np.ndarray:
        colours = [_random_colour(rng) for _ in range(3)]
        return max(colours, key=lambda colour: float(np.abs(colour - other).sum()))

    shirt = unlike(backdrop)
    return Look(
        skin=np.array(SKIN_TONES[rng.integers(len(SKIN_TONES))]) * rng.uniform(0.93, 1.05),
        hair=np.array(HAIR_TONES[rng.integers(len(HAIR_TONES))]) * rng.uniform(0.85, 1.15),
        shirt=shirt,
        print_colour=unlike(shirt),
        bottom=unlike(backdrop),
        shoes=_random_colour(rng),
        pattern=str(rng.choice(['plain', 'striped', 'dotted'], p=[0.5, 0.3, 0.2])),
        sleeves=str(rng.choice(['short', 'long'])),
        legwear=str(rng.choice(['trousers', 'shorts', 'skirt'], p=[0.5, 0.5 - skirts, skirts])),
        hair_style=str(rng.choice(['short', 'long', 'bald'], p=[0.55, 0.35, 0.1])),
        build=rng.uniform(0.88, 1.2),
        head=rng.uniform(1.0, 1.25),
    )


def _random_colour(rng: np.random.Generator) -> np.ndarray:
    """A BGR colour, shape (3,), seldom near black or white."""
    hsv = np.array([[[rng.integers(180), rng.integers(20, 230), rng.integers(50, 245)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float)


def _hull(*groups: np.ndarray) -> np.ndarray:
    """Convex hull of point groups of shape (P, 2 or 3) in the image plane, shape (P, 2)."""
    points = np.concatenate([group[:, :2] for group in groups]).astype(np.float32)
    return cv2.convexHull(points)[:, 0]


def _ball(centre: np.ndarray, radius: float) -> np.ndarray:
    return centre[:2] + radius * CIRCLE


def _limb(p: np.ndarray, q: np.ndarray, rp: float, rq: float, colour: np.ndarray) -> list[Shape]:
    """A tapered capsule between two joints with its lit side."""
    lit = [_ball(c[:2] + 0.3 * r * LIGHT, 0.55 * r) for c, r in ((p, rp), (q, rq))]
    body = Shape(_hull(_ball(p, rp), _ball(q, rq)), colour * 0.82, contour=True)
    return [body, Shape(_hull(*lit), colour * 1.08)]


def _leg(skeleton: Skeleton, look: Look, name: str) -> list[Part]:
    """A thigh, and a shin with its foot."""
    hip, knee, ankle, toe, heel = (
        skeleton.joints[f'{name}_{key}'] for key in ('hip', 'knee', 'ankle', 'toe', 'heel')
    )
    covered = look.legwear == 'trousers'
    colour, b = look.bottom if covered else look.skin, look.build * (1.0 if covered else 0.87)
    shin = _limb(heel, toe, 0.026, 0.019, look.shoes)
    shin += _limb(knee, ankle, 0.045 * b, 0.029 * b, colour)
    thigh = _limb(hip, knee, 0.064 * b, 0.045 * b, colour)
    if look.legwear == 'shorts':
        thigh += _limb(hip, hip + 0.6 * (knee - hip), 0.075 * b, 0.064 * b, look.bottom)
    # Legs come before the trunk only where they point well towards the viewer.
    return [
        Part(f'{name}_thigh', (hip + knee)[2] / 2 + 0.07, thigh),
        Part(f'{name}_shin', (knee + ankle)[2] / 2 + 0.07, shin),
    ]


def _arm(skeleton: Skeleton, look: Look, name: str) -> list[Part]:
    """An upper arm, and a forearm with its hand."""
    shoulder, elbow, wrist, hand = (
        skeleton.joints[f'{name}_{key}'] for key in ('shoulder', 'elbow', 'wrist', 'hand')
    )
    colour, b = look.shirt if look.sleeves == 'long' else look.skin, look.build
    forearm = _limb(wrist, hand, 0.021, 0.023, look.skin)
    forearm += _limb(elbow, wrist, 0.031 * b, 0.021 * b, colour)
    upper = _limb(shoulder, elbow, 0.037 * b, 0.031 * b, colour)
    if look.sleeves == 'short':
        upper += _limb(shoulder, shoulder + 0.6 * (elbow - shoulder), 0.042, 0.04, look.shirt)
    return [
        Part(f'{name}_upper_arm', (shoulder + elbow)[2] / 2 - 0.02, upper),
        Part(f'{name}_forearm', (elbow + wrist)[2] / 2 - 0.02, forearm),
    ]


def _ring(skeleton: Skeleton, look: Look, t: float, swell: float = 1.0) -> np.ndarray:
    """Points, shape (P, 3), round the trunk at t = 0 (collar) ... 1 (hips), in the camera frame."""
    across = np.interp(t, TRUNK_LEVELS, TRUNK_WIDTHS) * look.build * swell
    deep = np.interp(t, TRUNK_LEVELS, TRUNK_DEPTHS) * look.build * swell
    frame = skeleton.chest if t < 0.8 else skeleton.hips
    centre = (1 - t) * skeleton.joints['neck'] + t * (frame @ np.array([0, 0.01, 0]))
    return centre + CIRCLE @ np.stack([across * frame[:, 0], deep * frame[:, 2]])


def _near(ring: np.ndarray) -> np.ndarray:
    """Which points (P, 3) of a ring lie on the viewer's side, shape (P,)."""
    return ring[:, 2] < ring[:, 2].mean() + 1e-6


def _stripe(upper: np.ndarray, lower: np.ndarray, colour: np.ndarray) -> list[Shape]:
    """The viewer's side of the band between two rings, as quadrangles, for it may be bent."""
    near, after = _near(upper), np.roll(np.arange(len(upper)), -1)
    corners = np.stack([upper, upper[after], lower[after], lower], axis=1)[..., :2]
    return [Shape(quad, colour) for quad in corners[near & near[after]]]


def _torso(skeleton: Skeleton, look: Look) -> Part:
    rings = [_ring(skeleton, look, t) for t in TRUNK_LEVELS]
    shapes = [Shape(_hull(*pair), look.shirt * 0.86, contour=True) for pair in pairwise(rings)]
    shift = np.append(LIGHT * 0.02, 0)
    lit = [_ring(skeleton, look, t, 0.72) + shift for t in TRUNK_LEVELS[1:]]
    shapes += [Shape(_hull(*pair), look.shirt * 1.04) for pair in pairwise(lit)]
    if look.pattern == 'striped':
        for t in np.arange(0.14, 0.9, 0.18):
            upper, lower = (_ring(skeleton, look, u) for u in (t, t + 0.08))
            shapes += _stripe(upper, lower, look.print_colour)
    if look.pattern == 'dotted':
        for row, t in enumerate(np.arange(0.18, 0.95, 0.14)):
            ring = _ring(skeleton, look, t)[row % 2 :: 2]
            shapes += [Shape(_ball(dot, 0.014), look.print_colour) for dot in ring[_near(ring)]]
    return Part('torso', skeleton.joints['neck'][2] / 2, shapes)


def _pelvis(skeleton: Skeleton, look: Look, legs: list[Part]) -> Part:
    """A skirt over the thighs, or the seat of the trousers behind them."""
    joints, waist = skeleton.joints, _ring(skeleton, look, 0.85)
    if look.legwear == 'skirt':
        hems = [
            joints[f'{s}_hip'] + 0.55 * (joints[f'{s}_knee'] - joints[f'{s}_hip']) for s in SIDES
        ]
        balls = [_ball(hem, 0.08 * look.build) for hem in hems]
        depth = min(leg.depth for leg in legs) - 0.01
    else:
        balls = [_ball(joints[f'{s}_hip'], 0.064 * look.build) for s in SIDES]
        depth = max(leg.depth for leg in legs) + 0.01
    return Part('pelvis', depth, [Shape(_hull(waist, *balls), look.bottom * 0.88, contour=True)])


class _Head:
    """The head as an ellipsoid: where points of the unit sphere land in the image."""

    def __init__(self, skeleton: Skeleton, look: Look) -> None:
        self.centre = skeleton.joints['head']
        self.axes = skeleton.head * (np.array([0.056, 0.078, 0.066]) * look.head)
        away = np.linalg.solve(self.axes, np.array([0.0, 0.0, 1.0]))
        self.away = away / np.linalg.norm(away)

    def outline(self, swell: float) -> np.ndarray:
        """The silhouette, shape (P, 2)."""
        root = np.linalg.cholesky((self.axes @ self.axes.T)[:2, :2])
        return self.centre[:2] + swell * CIRCLE @ root.T

    def cap(self, centre: tuple[float, float, float], degrees: float) -> np.ndarray:
        """The part of the surface within an angle of a direction; its far side is cut off."""
        g = np.array(centre) / np.linalg.norm(centre)
        u = np.cross(g, [0.0, 1.0, 0.0])
        u /= np.linalg.norm(u)
        a = np.radians(degrees)
        normals = np.cos(a) * g + np.sin(a) * CIRCLE @ np.stack([u, np.cross(g, u)])
        hidden = np.clip(normals @ self.away, 0, None)
        normals = normals - hidden[:, None] * self.away
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return (self.centre + normals @ self.axes.T)[:, :2]

    def point(self, name: str) -> np.ndarray:
        return self.centre + self.axes @ np.array(FACE[name])

    def turned_away(self, name: str) -> bool:
        """Whether a place of the face lies on the far side; ears stick out and show longer."""
        limit = 0.35 if 'ear' in name else -0.12
        return bool(np.array(FACE[name]) @ self.away > limit)


def _head_parts(skeleton: Skeleton, look: Look, head: _Head) -> list[Part]:
    r = 0.056 * look.head
    skin, joints = look.skin, skeleton.joints
    neck = _limb(joints['neck'], joints['head'], 0.034 * look.build, 0.03 * look.build, skin * 0.92)
    hair = skin if look.hair_style == 'bald' else look.hair
    swell = 1.0 if look.hair_style == 'bald' else 1.09
    shapes = [*neck, Shape(head.outline(swell), hair * 0.9, contour=True)]
    top_light = _ball(head.centre[:2] + 0.5 * r * LIGHT, 0.5 * r)
    shapes.append(Shape(top_light, hair * 1.15))
    if skeleton.head[2, 2] > -0.2:  # else the face is out of sight
        shapes.append(Shape(head.cap((0, 0.28, -1), 66), skin * 0.94))
        shapes.append(Shape(head.cap((-0.2, 0.2, -1), 38), skin * 1.05))
    for name in FACE:
        if not head.turned_away(name):
            shapes += _feature(head, name, r, skin)
    if not head.turned_away('nose'):
        shapes.append(Shape(head.cap((0, 0.62, -0.8), 14), np.array([70.0, 60, 150])))
    parts = [Part('head', joints['head'][2] - 0.03, shapes)]
    if look.hair_style == 'long':
        back = head.centre + skeleton.head @ np.array([0, 0.6 * r, 0.5 * r])
        low = head.centre + skeleton.head @ np.array([0, 2.1 * r, 0.7 * r])
        depth = (joints['neck'] + skeleton.head @ np.array([0, 0, 0.09]))[2]
        parts.append(Part('hair', depth, _limb(back, low, 1.15 * r, 0.85 * r, hair * 0.95)))
    return parts


def _feature(head: _Head, name: str, r: float, skin: np.ndarray) -> list[Shape]:
    point = head.point(name)
    if 'ear' in name:
        return [
            Shape(_ball(point, 0.3 * r), skin * 0.8),
            Shape(_ball(point[:2] + 0.08 * r * LIGHT, 0.17 * r), skin),
        ]
    if name == 'nose':
        return [
            Shape(_ball(point, 0.17 * r), skin * 0.68),
            Shape(_ball(point[:2] + 0.1 * r * LIGHT, 0.1 * r), skin * 1.1),
        ]
    return [
        Shape(_ball(point, 0.22 * r), np.array([245.0, 245, 245])),
        Shape(_ball(point, 0.14 * r), np.array([40.0, 25, 20])),
    ]


def _sample_figure(rng: np.random.Generator, backdrop: np.ndarray) -> Figure:
    """A dressed person in a random posture, on a backdrop of mean colour (3,)."""
    posture = POSTURES[rng.choice(list(POSTURES))]
    look = _sample_look(rng, posture, backdrop)
    skeleton = _sample_skeleton(rng, posture, look)
    head = _Head(skeleton, look)
    legs = [part for name in SIDES for part in _leg(skeleton, look, name)]
    arms = [part for name in SIDES for part in _arm(skeleton, look, name)]
    trunk = [_pelvis(skeleton, look, legs), _torso(skeleton, look)]
    parts = [*legs, *arms, *trunk, *_head_parts(skeleton, look, head)]
    keypoints = [
        head.point(name) if name in FACE else skeleton.joints[name] for name in KEYPOINT_NAMES
    ]
    turned_away = [name in FACE and head.turned_away(name) for name in KEYPOINT_NAMES]
    parts.sort(key=lambda part: -part.depth)
    return Figure(parts, np.array(keypoints)[:, :2], np.array(turned_away))


# --- Scene ----------------------------------------------------------------------------------------


class Placed(NamedTuple):
    """A figure in the image: an image point is scale * figure point + offset."""

    figure: Figure
    scale: float
    offset: np.ndarray
    box: np.ndarray  # x1, y1, x2, y2 in pixels, not clipped


def _place(
    rng: np.random.Generator, figure: Figure, heights: Range, width: int, height: int
) -> Placed:
    """Scale and shift a figure; one in five may leave the image by up to a fifth of its size."""
    low, high = figure.bounds()
    extent = high - low
    scale = min(rng.uniform(*heights) * height / extent[1], 0.95 * width / extent[0])
    room = np.array([width - 1, height - 1]) - scale * extent
    overhang = 0.2 * scale * extent if rng.random() < 0.2 else np.zeros(2)
    corner = rng.uniform(-overhang, room + overhang)
    box = np.concatenate([corner, corner + scale * extent])
    return Placed(figure, scale, corner - scale * low, box)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Shared area of two boxes (x1, y1, x2, y2) as a part of the smaller one."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(
        np.prod(np.clip(sides, 0, None)) / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    )


def _sample_people(
    rng: np.random.Generator, backdrop: np.ndarray, width: int, height: int, max_persons: int
) -> list[Placed]:
    """One to ``max_persons`` people, from far to near, that hide little of one another."""
    count = int(rng.integers(1, max_persons + 1))
    heights = (0.35, 0.95) if count == 1 else (0.35, 0.8)
    people: list[Placed] = []
    for _ in range(count):
        figure = _sample_figure(rng, backdrop)
        for _ in range(20):
            placed = _place(rng, figure, heights, width, height)
            if all(_overlap(placed.box, other.box) < 0.3 for other in people):
                people.append(placed)
                break
    return sorted(people, key=lambda placed: placed.scale)


def _draw(placed: Placed, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a figure.

    Returns:
        The supersampled part map (s*H', s*W'), 0 outside of the figure; the coverage (H', W') in
        0..1; the colours times the coverage (H', W', 3). All are cut to the figure's box within the
        image, whose corner `_window` gives.
    """
    x1, y1, x2, y2 = _window(placed.box, width, height)
    s = SUPERSAMPLING
    layer = np.zeros((s * (y2 - y1), s * (x2 - x1), 4), np.uint8)
    # (x + 0.5) * s - 0.5 is the supersampled place of x; 16 steps a pixel for cv2's `shift`.
    scale = 16 * s * placed.scale
    offset = 16 * (s * (placed.offset - (x1, y1)) + (s - 1) / 2)
    for part in placed.figure.parts:
        value = PARTS.index(part.name) + 1
        polygons = [np.rint(s.polygon * scale + offset).astype(np.int32) for s in part.shapes]
        for shape, polygon in zip(part.shapes, polygons, strict=True):
            if shape.contour:
                colour = (*np.clip(shape.colour * 0.5, 0, 255), value)
                cv2.polylines(layer, [polygon], True, colour, 2, cv2.LINE_8, shift=4)
        for shape, polygon in zip(part.shapes, polygons, strict=True):
            colour = (*np.clip(shape.colour, 0, 255), value)
            cv2.fillConvexPoly(layer, polygon, colour, cv2.LINE_8, shift=4)
    size = (x2 - x1, y2 - y1)
    part_map = np.ascontiguousarray(layer[..., 3])
    figure = (part_map > 0).astype(np.float32)
    coverage = cv2.resize(figure, size, interpolation=cv2.INTER_AREA)
    colours = cv2.resize(layer[..., :3].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return part_map, coverage, colours * _light(placed.box, x1, y1, size)[..., None]


def _window(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """The whole pixels (x1, y1, x2, y2), ends excluded, that a figure with contours may touch."""
    x1, y1 = np.maximum(np.floor(box[:2]).astype(int) - 2, 0)
    x2, y2 = np.minimum(np.ceil(box[2:]).astype(int) + 3, (width, height))
    return int(x1), int(y1), int(x2), int(y2)


def _light(box: np.ndarray, x1: int, y1: int, size: tuple[int, int]) -> np.ndarray:
    """Brightness (H', W') that falls from the figure's upper left to its lower right."""
    u = (np.arange(size[0]) + x1 - box[0]) / (box[2] - box[0])
    v = (np.arange(size[1]) + y1 - box[1]) / (box[3] - box[1])
    return (1.28 - 0.26 * u[None, :] - 0.3 * v[:, None]).astype(np.float32)


def _noise(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Value noise (H, W, 3) between two random colours, over one to three octaves."""
    field = np.zeros((height, width), np.float32)
    cells = int(rng.integers(2, 7))
    for octave in range(int(rng.integers(1, 4))):
        grid = rng.random((cells * 4**octave, cells * 4**octave), np.float32)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR) * 0.6**octave
    cv2.normalize(field, field, 0, 1, cv2.NORM_MINMAX)
    first, second = (_random_colour(rng).astype(np.float32) for _ in range(2))
    return first + field[..., None] * (second - first) * np.float32(rng.uniform(0.3, 1))


def _background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A textured wall, often with a floor, and clutter, shape (H, W, 3), uint8."""
    image = _noise(rng, width, height)
    if rng.random() < 0.6:
        horizon = int(height * rng.uniform(0.45, 0.85))
        image[horizon:] = _noise(rng, width, height - horizon)
    image = np.clip(image, 0, 255).astype(np.uint8)
    size = np.array([width, height])
    for _ in range(int(rng.integers(2, 12))):
        colour = tuple(_random_colour(rng))
        centre = rng.uniform(0, 1, 2) * size
        sides = rng.uniform(0.02, 0.3, 2) * height
        box = (centre.tolist(), sides.tolist(), rng.uniform(0, 180))
        kind = rng.integers(3)
        if kind == 0:
            cv2.fillConvexPoly(image, np.rint(cv2.boxPoints(box)).astype(int), colour, cv2.LINE_AA)
        elif kind == 1:
            cv2.ellipse(image, box, colour, -1, cv2.LINE_AA)
        else:
            end = rng.uniform(0, 1, 2) * size
            thickness = int(rng.integers(1, max(3, height // 20)))
            cv2.line(image, centre.astype(int), end.astype(int), colour, thickness, cv2.LINE_AA)
    blur = int(rng.integers(0, 3))
    return cv2.blur(image, (2 * blur + 1, 2 * blur + 1)) if blur else image


def _render_image(
    rng: np.random.Generator, width: int, height: int, max_persons: int
) -> tuple[np.ndarray, list[dict]]:
    """One image (H, W, 3), uint8, and its annotations without ids."""
    image = _background(rng, width, height).astype(np.float32)
    people = _sample_people(rng, image.mean(axis=(0, 1)), width, height, max_persons)
    owner = np.zeros((height, width), np.uint8)
    labels = []
    for number, placed in enumerate(people, start=1):
        part_map, coverage, colours = _draw(placed, width, height)
        x1, y1, x2, y2 = _window(placed.box, width, height)
        image[y1:y2, x1:x2] = image[y1:y2, x1:x2] * (1 - coverage[..., None]) + colours
        # A pixel goes to a figure that covers any of it, unless another has more than half of it.
        taken = owner[y1:y2, x1:x2]
        taken[(coverage > 0.5) | ((coverage > 0) & (taken == 0))] = number
        labels.append(_label(placed, part_map, width, height))
    noise = rng.integers(-5, 6, image.shape, np.int8)
    image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image, [_annotation(label, owner == i) for i, label in enumerate(labels, start=1)]


def _label(placed: Placed, part_map: np.ndarray, width: int, height: int) -> np.ndarray:
    """Keypoints (K, 3) as integers x, y, v of a figure as if it stood alone in the image."""
    exact = placed.figure.keypoints * placed.scale + placed.offset
    pixels = np.rint(exact).astype(int)
    inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
    x1, y1, _, _ = _window(placed.box, width, height)
    places = np.rint(SUPERSAMPLING * (exact - (x1, y1)) + (SUPERSAMPLING - 1) / 2).astype(int)
    label = np.zeros((len(KEYPOINT_NAMES), 3), int)
    for k in np.flatnonzero(inside):
        x, y = places[k]
        part = PARTS[part_map[y, x] - 1] if part_map[y, x] else ''
        seen = not placed.figure.turned_away[k] and part in _supports(KEYPOINT_NAMES[k])
        label[k] = (*pixels[k], 2 if seen else 1)
    return label


def _supports(name: str) -> set[str]:
    """The parts on which a keypoint may be seen."""
    if name in FACE:
        return {'head'}
    side, joint = name.split('_')
    return {part if part in PARTS else f'{side}_{part}' for part in SUPPORTS[joint]}


def _annotation(label: np.ndarray, visible: np.ndarray) -> dict:
    """COCO fields of one person from its keypoints (K, 3) and the pixels (H, W) that show it."""
    contours, _ = cv2.findContours(
        visible.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    simple = [cv2.approxPolyDP(contour, 1.0, True).reshape(-1) for contour in contours]
    # Specks that stick out from behind another person have no outline: they do not count as seen.
    kept = [k for k, outline in enumerate(simple) if len(outline) >= 6]
    filled = np.zeros(visible.shape, np.uint8)
    cv2.drawContours(filled, [contours[k] for k in kept], -1, (1,), -1)
    visible = visible & (filled > 0)
    label = label.copy()
    for point in label:
        if point[2] == 2 and not visible[point[1], point[0]]:
            point[2] = 1
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    return dict(
        segmentation=[simple[k].tolist() for k in kept],
        num_keypoints=int((label[:, 2] > 0).sum()),
        area=int(visible.sum()),
        iscrowd=0,
        keypoints=label.reshape(-1).tolist(),
        bbox=[x, y, w, h],
        category_id=1,
    )


# --- Data set -------------------------------------------------------------------------------------


def render(
    folder: str | Path,
    num_train: int,
    num_val: int,
    seed: int = 0,
    image_size: tuple[int, int] = (320, 240),
    max_persons: int = 3,
    progress: Callable[[list[int]], Iterable[int]] = iter,
) -> None:
    """Write a data set of rendered people in COCO's layout.

    The folder gets ``train/*.jpg``, ``val/*.jpg`` and
    ``annotations/person_keypoints_{train,val}.json``. An image follows from the seed, its split and
    its number alone, whatever the number of images. Boxes, areas and outlines are those of the
    pixels in which a figure shows; a keypoint has v = 2 where it can be seen through clothes, 1
    behind another limb, the head or another person, and 0 (at 0, 0) outside of the image.

    Args:
        folder: Where to write; new or empty.
        num_train: Number of training images.
        num_val: Number of validation images.
        seed: The same seed gives the same bytes.
        image_size: (width, height) in pixels.
        max_persons: An image shows one to so many people, fewer where there is no room.
        progress: Wraps the list of image numbers of a split, to show how far it has come.

    Raises:
        FileExistsError: If the folder holds anything.
        ValueError: If a number is too small.
    """
    for name, value, least in (
        ('num_train', num_train, 1),
        ('num_val', num_val, 1),
        ('seed', seed, 0),
        ('max_persons', max_persons, 1),
        ('min(image_size)', min(image_size), 64),
    ):
        if value < least:
            raise ValueError(f'{name} must be at least {least}, got {value}')
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f'folder must be new or empty, but {folder} holds files')
    for split, count in (('train', num_train), ('val', num_val)):
        data = _render_split(folder / split, count, seed, image_size, max_persons, progress)
        file = folder / 'annotations' / f'person_keypoints_{split}.json'
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(data))


def _render_split(
    folder: Path,
    count: int,
    seed: int,
    image_size: tuple[int, int],
    max_persons: int,
    progress: Callable[[list[int]], Iterable[int]],
) -> dict:
    """Write the images of one split and return its annotation file's content."""
    folder.mkdir(parents=True)
    width, height = image_size
    first = FIRST_IMAGE_ID[folder.name]
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id in progress(list(range(first, first + count))):
        rng = np.random.default_rng([seed, image_id])
        image, people = _render_image(rng, width, height, max_persons)
        file_name = f'{image_id:012d}.jpg'
        _, code = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / file_name).write_bytes(code.tobytes())
        images.append(dict(id=image_id, file_name=file_name, width=width, height=height))
        for person in people:
            annotations.append(dict(id=first + len(annotations), image_id=image_id, **person))
    category = dict(
        id=1,
        name='person',
        supercategory='person',
        keypoints=KEYPOINT_NAMES,
        skeleton=SKELETON,
    )
    info = dict(description=f'rendered people, seed {seed}', version='1.0')
    return dict(
        info=info, licenses=[], images=images, annotations=annotations, categories=[category]
    )


def contact_sheet(folder: str | Path, split: str, columns: int = 4, rows: int = 3) -> np.ndarray:
    """The first images of a split with boxes and keypoints, as one BGR image, uint8.

    The person's left is green, the right orange, the middle blue; a hollow ring is a hidden
    keypoint (v = 1), which MMPose's visualizer would not tell from a visible one.

    Args:
        folder: What `render` wrote.
        split: ``'train'`` or ``'val'``.
        columns: Number of images side by side.
        rows: Number of images below one another.
    """
    folder = Path(folder)
    data = json.loads((folder / 'annotations' / f'person_keypoints_{split}.json').read_text())
    tiles = []
    for record in data['images'][: columns * rows]:
        tile = cv2.imread(str(folder / split / record['file_name']))
        tile = cv2.resize(tile, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        for person in data['annotations']:
            if person['image_id'] == record['id']:
                _draw_annotation(tile, person)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    lines = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(lines)


def _draw_annotation(tile: np.ndarray, person: dict) -> None:
    """Draw one person's annotation on its image (2H, 2W, 3), enlarged twice, in place."""
    x, y, w, h = person['bbox']
    cv2.rectangle(tile, (2 * x, 2 * y), (2 * (x + w) - 1, 2 * (y + h) - 1), (255, 255, 255), 1)
    points = np.array(person['keypoints']).reshape(-1, 3)
    places = [(2 * int(px) + 1, 2 * int(py) + 1) for px, py, _ in points]
    colours = {'left': (0, 220, 0), 'right': (0, 128, 255)}
    for i, j in np.array(SKELETON) - 1:
        if points[i, 2] and points[j, 2]:
            names = {KEYPOINT_NAMES[k].split('_')[0] for k in (i, j)}
            colour = colours.get(names.pop(), (255, 80, 0)) if len(names) == 1 else (255, 80, 0)
            cv2.line(tile, places[i], places[j], colour, 1, cv2.LINE_AA)
    for name, place, v in zip(KEYPOINT_NAMES, places, points[:, 2], strict=True):
        if v:
            colour = colours.get(name.split('_')[0], (255, 80, 0))
            cv2.circle(tile, place, 4, colour, -1 if v == 2 else 1, cv2.LINE_AA)
