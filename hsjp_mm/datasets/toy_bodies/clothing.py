"""What people wear: the color of each point of a body's skin, hair and clothes.

Points are places on the mean body at rest, in a T-pose, in its frame: x to the body's left, y up, z
forward, in meters. Each has the joint that it goes with. Colors are BGR, 0..255.

Letters: P points.
"""

from typing import NamedTuple

import cv2
import numpy as np

from hsjp_mm.ops.keypoint_orders import joint_names

JOINTS = joint_names('smpl_24')
ARMS, LEGS, FEET, HEAD = (
    np.array([joint.removeprefix('left_').removeprefix('right_') in names for joint in JOINTS])
    for names in (
        ('shoulder', 'elbow', 'wrist', 'hand'),
        ('hip', 'knee', 'ankle', 'foot'),
        ('ankle', 'foot'),
        ('head', 'neck'),
    )
)
SKIN_TONES = ((196, 220, 246), (160, 196, 234), (124, 164, 212), (92, 130, 184), (62, 92, 140),
              (42, 62, 100))  # fmt: skip
HAIR_TONES = ((24, 24, 28), (30, 46, 74), (52, 84, 128), (96, 168, 214), (40, 70, 168),
              (176, 178, 182))  # fmt: skip
SKIN, HAIR, SHIRT, BOTTOM, SHOES = range(5)
"""What a point is covered with."""
SHOULDER, WRIST, WAIST, KNEE, ANKLE, NECK = 0.17, 0.65, 0.05, -0.4, -0.81, 0.5
"""Places of the mean body: the first two along x, the others along y."""


class Look(NamedTuple):
    """What a person wears; colors have shape (3,), lengths are in meters on the mean body.

    Attributes:
        sleeve: Where the sleeves end, along x.
        hem: Where the shirt ends, along y; a dress ends on the legs.
        leg: Where the trousers end, along y.
        collar: Where the shirt begins, along y.
        hair_back: How far down hair reaches at the back, along y.
        loose: How far off the skin hair, shirt, trousers and shoes are.
        pattern: Of the shirt.
        period: Of the pattern.
        folds: (3, 3) waves of the cloth, in radians a meter.
    """

    skin: np.ndarray
    hair: np.ndarray
    shirt: np.ndarray
    second: np.ndarray
    bottom: np.ndarray
    shoes: np.ndarray
    sleeve: float
    hem: float
    leg: float
    collar: float
    hair_back: float
    loose: tuple[float, float, float, float]
    pattern: str
    period: float
    folds: np.ndarray


def random_color(rng: np.random.Generator) -> np.ndarray:
    """A BGR color, shape (3,), seldom near black or white."""
    hsv = np.array([[[rng.integers(180), rng.integers(20, 230), rng.integers(60, 245)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float)


def draw_look(rng: np.random.Generator, backdrop: np.ndarray) -> Look:
    """Draw clothes; of three colors the one least like the backdrop, shape (3,), is worn."""

    def unlike(*others: np.ndarray) -> np.ndarray:
        colors = [random_color(rng) for _ in range(3)]
        return max(colors, key=lambda c: min(float(np.abs(c - other).sum()) for other in others))

    shirt = unlike(backdrop)
    dress = rng.random() < 0.12
    bottom = shirt if dress else unlike(backdrop, shirt)
    sleeve = float(rng.choice([0.02, 0.14, WRIST - SHOULDER - 0.02], p=[0.15, 0.45, 0.4]))
    shorts = rng.random() < 0.35
    return Look(
        skin=np.array(SKIN_TONES[rng.integers(len(SKIN_TONES))]) * rng.uniform(0.93, 1.04),
        hair=np.array(HAIR_TONES[rng.integers(len(HAIR_TONES))]) * rng.uniform(0.85, 1.15),
        shirt=shirt,
        second=unlike(shirt),
        bottom=bottom,
        shoes=random_color(rng),
        sleeve=SHOULDER + sleeve + rng.uniform(-0.02, 0.02),
        hem=rng.uniform(-0.35, -0.2) if dress else WAIST - rng.uniform(0, 0.14),
        leg=KNEE + rng.uniform(-0.02, 0.15) if shorts else ANKLE + rng.uniform(0, 0.05),
        collar=NECK - rng.uniform(-0.02, 0.04),
        hair_back=float(rng.choice([0.6, 0.47, 9], p=[0.55, 0.35, 0.1])),
        loose=(0.014, rng.uniform(0, 0.014), rng.uniform(0, 0.012), 0.006),
        pattern=str(
            rng.choice(
                ['plain', 'stripes', 'bars', 'dots', 'checks', 'print', 'yoke'],
                p=[0.36, 0.2, 0.08, 0.1, 0.08, 0.1, 0.08],
            )
        ),
        period=rng.uniform(0.05, 0.11),
        folds=rng.normal(0, 22, (3, 3)),
    )


def in_one_color(look: Look) -> Look:
    """The same clothes without pattern and folds, all of the color of the shirt."""
    one = look.shirt
    return look._replace(
        second=one, bottom=one, shoes=one, pattern='plain', folds=np.zeros_like(look.folds)
    )


def covers(points: np.ndarray, joints: np.ndarray, look: Look) -> np.ndarray:
    """What points are covered with: SKIN, HAIR, SHIRT, BOTTOM or SHOES.

    Args:
        points: (P, 3).
        joints: (P,) int, of which joint each goes with most.
        look: What is worn.

    Returns:
        (P,) int.
    """
    x, y, z = points.T
    arm, leg, head = ARMS[joints], LEGS[joints], HEAD[joints]
    trunk = ~(arm | leg | head)
    found = np.full(len(points), SKIN)
    bottom = (leg | trunk) & (y > look.leg) & (y < WAIST + 0.01)
    found[bottom] = BOTTOM
    shirt = np.where(arm, np.abs(x) < look.sleeve, y > look.hem) & (arm | leg | trunk)
    found[shirt & (arm | (y < look.collar + 0.5 * np.abs(x)))] = SHIRT
    found[FEET[joints] & (y < ANKLE - 0.01)] = SHOES
    line = 0.748 - 0.85 * np.clip(0.125 - z, 0, 0.2)  # from the forehead over the ears to the back
    falls = (z < 0.03) & (y > look.hair_back) & (y < 0.7)
    found[(head | falls) & ((y > line) | falls) & (look.hair_back < 1)] = HAIR
    return found


def thickness(cover: np.ndarray, look: Look) -> np.ndarray:
    """How far off the skin what is worn is, in meters, (P,)."""
    return np.array([0, *look.loose])[cover]


def colors(points: np.ndarray, joints: np.ndarray, look: Look) -> np.ndarray:
    """The color of points in full light.

    Args:
        points, joints: As in :func:`covers`.
        look: What is worn.

    Returns:
        (P, 3) BGR.
    """
    cover = covers(points, joints, look)
    table = np.stack([look.skin, look.hair, look.shirt, look.bottom, look.shoes])
    found = table[cover]
    shirt = np.flatnonzero(cover == SHIRT)
    marked = _pattern(points[shirt], ARMS[joints[shirt]], look)
    found[shirt[marked]] = look.second
    found[(cover == SHOES) & (points[:, 1] < -0.888)] = 225  # soles
    face = np.flatnonzero((cover == SKIN) & HEAD[joints])
    found[face] = _face(points[face], look, found[face])
    waves = sum(np.sin(points @ look.folds).T) / 3  # the mean, but faster
    cloth = (cover == SHIRT) | (cover == BOTTOM)
    return found * (1 + np.where(cloth, 0.1, 0.02) * waves)[:, None]


def _pattern(points: np.ndarray, arm: np.ndarray, look: Look) -> np.ndarray:
    """Which points of a shirt have its second color, (P,) bool."""
    x, y, z = points.T
    along = np.where(arm, x, y) / look.period  # a sleeve's stripes go around the arm
    across = np.where(arm, y, x) / look.period
    if look.pattern == 'stripes':
        return along % 1 < 0.45
    if look.pattern == 'bars':
        return across % 1 < 0.4
    if look.pattern == 'checks':
        return (along % 1 < 0.5) ^ (across % 1 < 0.5)
    if look.pattern == 'dots':
        return np.hypot(along % 1 - 0.5, across % 1 - 0.5) < 0.27
    if look.pattern == 'print':
        return ~arm & (z > 0) & (np.hypot(x, y - 0.3) < 1.2 * look.period)
    if look.pattern == 'yoke':
        return arm | (y > 0.33)
    return np.zeros(len(points), bool)


def _face(points: np.ndarray, look: Look, skin: np.ndarray) -> np.ndarray:
    """Eyes, brows and mouth on the skin of a head."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    front = z > 0.085
    found = skin.copy()
    found[front & (np.hypot(x - 0.031, 1.6 * (y - 0.682)) < 0.017)] = 235
    found[front & (np.hypot(x - 0.031, y - 0.682) < 0.009)] = (30, 30, 30)
    found[front & (np.abs(y - 0.705) < 0.005) & (np.abs(x - 0.031) < 0.02)] = 0.7 * look.hair
    found[front & (np.hypot(x / 0.026, (y - 0.603) / 0.009) < 1)] = (90, 80, 170)
    return found
