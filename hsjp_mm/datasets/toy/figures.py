"""Dressed people: a skeleton with a look becomes shapes to draw, from far to near.

Frames and units are those of `pose.py`. Colors are BGR in 0..255. The light always comes from the
upper left, so that the content of an image patch tells which side of the body it shows.

Shape letters: P points of a polygon, K = 17 keypoints.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from hsjp_mm.datasets.toy.pose import (
    KEYPOINT_NAMES,
    POSTURES,
    SIDES,
    Posture,
    Skeleton,
    sample_skeleton,
)

# A part's value in the part map is its place here plus one; 0 is "no figure".
PARTS = (
    'hair', 'head', 'torso', 'pelvis', 'left_upper_arm', 'right_upper_arm', 'left_forearm',
    'right_forearm', 'left_thigh', 'right_thigh', 'left_shin', 'right_shin',
)  # fmt: skip

LIGHT = np.array([-0.8, -0.6])  # towards the light, in the image
CIRCLE = np.exp(1j * np.arange(16) * np.pi / 8).view(float).reshape(-1, 2)

# The trunk's outline from the collar (0) to the hips (1): half its width and half its depth.
TRUNK_LEVELS = (0.0, 0.1, 0.35, 0.65, 1.0)
TRUNK_WIDTHS = (0.05, 0.125, 0.118, 0.09, 0.112)
TRUNK_DEPTHS = (0.035, 0.05, 0.068, 0.056, 0.068)

# Places on the head, as a unit sphere in the body frame (forward is -z), before its stretching.
FACE = {
    'nose': (0.0, 0.2, -0.98), 'left_eye': (0.4, -0.08, -0.91), 'right_eye': (-0.4, -0.08, -0.91),
    'left_ear': (1.0, 0.08, 0.1), 'right_ear': (-1.0, 0.08, 0.1),
}  # fmt: skip

SKIN_TONES = ((196, 220, 246), (160, 196, 234), (124, 164, 212), (92, 130, 184), (62, 92, 140),
              (42, 62, 100))  # fmt: skip
HAIR_TONES = ((24, 24, 28), (30, 46, 74), (52, 84, 128), (96, 168, 214), (40, 70, 168),
              (176, 178, 182))  # fmt: skip


class Look(NamedTuple):
    """What a figure wears and how it is built; colors are arrays of shape (3,)."""

    skin: np.ndarray
    hair: np.ndarray
    shirt: np.ndarray
    print_color: np.ndarray
    bottom: np.ndarray
    shoes: np.ndarray
    pattern: str
    sleeves: str
    legwear: str
    hair_style: str
    build: float
    head: float


class Shape(NamedTuple):
    """A filled polygon of shape (P, 2); with a contour, so that limbs of one color stay apart."""

    polygon: np.ndarray
    color: np.ndarray
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


def _sample_look(rng: np.random.Generator, posture: Posture, backdrop: np.ndarray) -> Look:
    """Clothes and build; of three colors the one least like the backdrop, shape (3,), is worn."""
    skirts = 0.0 if max(posture.hip) > 45 else 0.2  # between bent legs a skirt would hide the knees

    def unlike(other: np.ndarray) -> np.ndarray:
        colors = [random_color(rng) for _ in range(3)]
        return max(colors, key=lambda color: float(np.abs(color - other).sum()))

    shirt = unlike(backdrop)
    return Look(
        skin=np.array(SKIN_TONES[rng.integers(len(SKIN_TONES))]) * rng.uniform(0.93, 1.05),
        hair=np.array(HAIR_TONES[rng.integers(len(HAIR_TONES))]) * rng.uniform(0.85, 1.15),
        shirt=shirt,
        print_color=unlike(shirt),
        bottom=unlike(backdrop),
        shoes=random_color(rng),
        pattern=str(rng.choice(['plain', 'striped', 'dotted'], p=[0.5, 0.3, 0.2])),
        sleeves=str(rng.choice(['short', 'long'])),
        legwear=str(rng.choice(['trousers', 'shorts', 'skirt'], p=[0.5, 0.5 - skirts, skirts])),
        hair_style=str(rng.choice(['short', 'long', 'bald'], p=[0.55, 0.35, 0.1])),
        build=rng.uniform(0.88, 1.2),
        head=rng.uniform(1.0, 1.25),
    )


def random_color(rng: np.random.Generator) -> np.ndarray:
    """A BGR color, shape (3,), seldom near black or white."""
    hsv = np.array([[[rng.integers(180), rng.integers(20, 230), rng.integers(50, 245)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float)


def _hull(*groups: np.ndarray) -> np.ndarray:
    """Convex hull of point groups of shape (P, 2 or 3) in the image plane, shape (P, 2)."""
    points = np.concatenate([group[:, :2] for group in groups]).astype(np.float32)
    return cv2.convexHull(points)[:, 0]


def _ball(center: np.ndarray, radius: float) -> np.ndarray:
    return center[:2] + radius * CIRCLE


def _limb(p: np.ndarray, q: np.ndarray, rp: float, rq: float, color: np.ndarray) -> list[Shape]:
    """A tapered capsule between two joints with its lit side."""
    lit = [_ball(c[:2] + 0.3 * r * LIGHT, 0.55 * r) for c, r in ((p, rp), (q, rq))]
    body = Shape(_hull(_ball(p, rp), _ball(q, rq)), color * 0.82, contour=True)
    return [body, Shape(_hull(*lit), color * 1.08)]


def _leg(skeleton: Skeleton, look: Look, name: str) -> list[Part]:
    """A thigh, and a shin with its foot."""
    hip, knee, ankle, toe, heel = (
        skeleton.joints[f'{name}_{key}'] for key in ('hip', 'knee', 'ankle', 'toe', 'heel')
    )
    covered = look.legwear == 'trousers'
    color, b = look.bottom if covered else look.skin, look.build * (1.0 if covered else 0.87)
    shin = _limb(heel, toe, 0.026, 0.019, look.shoes)
    shin += _limb(knee, ankle, 0.045 * b, 0.029 * b, color)
    thigh = _limb(hip, knee, 0.064 * b, 0.045 * b, color)
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
    color, b = look.shirt if look.sleeves == 'long' else look.skin, look.build
    forearm = _limb(wrist, hand, 0.021, 0.023, look.skin)
    forearm += _limb(elbow, wrist, 0.031 * b, 0.021 * b, color)
    upper = _limb(shoulder, elbow, 0.037 * b, 0.031 * b, color)
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
    center = (1 - t) * skeleton.joints['neck'] + t * (frame @ np.array([0, 0.01, 0]))
    return center + CIRCLE @ np.stack([across * frame[:, 0], deep * frame[:, 2]])


def _near(ring: np.ndarray) -> np.ndarray:
    """Which points (P, 3) of a ring lie on the viewer's side, shape (P,)."""
    return ring[:, 2] < ring[:, 2].mean() + 1e-6


def _stripe(upper: np.ndarray, lower: np.ndarray, color: np.ndarray) -> list[Shape]:
    """The viewer's side of the band between two rings, as quadrangles, for it may be bent."""
    near, after = _near(upper), np.roll(np.arange(len(upper)), -1)
    corners = np.stack([upper, upper[after], lower[after], lower], axis=1)[..., :2]
    return [Shape(quad, color) for quad in corners[near & near[after]]]


def _torso(skeleton: Skeleton, look: Look) -> Part:
    rings = [_ring(skeleton, look, t) for t in TRUNK_LEVELS]
    shapes = [Shape(_hull(*pair), look.shirt * 0.86, contour=True) for pair in pairwise(rings)]
    shift = np.append(LIGHT * 0.02, 0)
    lit = [_ring(skeleton, look, t, 0.72) + shift for t in TRUNK_LEVELS[1:]]
    shapes += [Shape(_hull(*pair), look.shirt * 1.04) for pair in pairwise(lit)]
    if look.pattern == 'striped':
        for t in np.arange(0.14, 0.9, 0.18):
            upper, lower = (_ring(skeleton, look, u) for u in (t, t + 0.08))
            shapes += _stripe(upper, lower, look.print_color)
    if look.pattern == 'dotted':
        for row, t in enumerate(np.arange(0.18, 0.95, 0.14)):
            ring = _ring(skeleton, look, t)[row % 2 :: 2]
            shapes += [Shape(_ball(dot, 0.014), look.print_color) for dot in ring[_near(ring)]]
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
        self.center = skeleton.joints['head']
        self.axes = skeleton.head * (np.array([0.056, 0.078, 0.066]) * look.head)
        away = np.linalg.solve(self.axes, np.array([0.0, 0.0, 1.0]))
        self.away = away / np.linalg.norm(away)

    def outline(self, swell: float) -> np.ndarray:
        """The silhouette, shape (P, 2)."""
        root = np.linalg.cholesky((self.axes @ self.axes.T)[:2, :2])
        return self.center[:2] + swell * CIRCLE @ root.T

    def cap(self, center: tuple[float, float, float], degrees: float) -> np.ndarray:
        """The part of the surface within an angle of a direction; its far side is cut off."""
        g = np.array(center) / np.linalg.norm(center)
        u = np.cross(g, [0.0, 1.0, 0.0])
        u /= np.linalg.norm(u)
        a = np.radians(degrees)
        normals = np.cos(a) * g + np.sin(a) * CIRCLE @ np.stack([u, np.cross(g, u)])
        hidden = np.clip(normals @ self.away, 0, None)
        normals = normals - hidden[:, None] * self.away
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return (self.center + normals @ self.axes.T)[:, :2]

    def point(self, name: str) -> np.ndarray:
        return self.center + self.axes @ np.array(FACE[name])

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
    top_light = _ball(head.center[:2] + 0.5 * r * LIGHT, 0.5 * r)
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
        back = head.center + skeleton.head @ np.array([0, 0.6 * r, 0.5 * r])
        low = head.center + skeleton.head @ np.array([0, 2.1 * r, 0.7 * r])
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


def sample_figure(rng: np.random.Generator, backdrop: np.ndarray) -> Figure:
    """A dressed person in a random posture, on a backdrop of mean color (3,)."""
    posture = POSTURES[rng.choice(list(POSTURES))]
    look = _sample_look(rng, posture, backdrop)
    skeleton = sample_skeleton(rng, posture, look.build, look.head)
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
