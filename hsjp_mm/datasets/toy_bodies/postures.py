"""Postures: angles of the joints, drawn within what people can do, as rotations of SMPL's joints.

Angles are in degrees, 0 everywhere for a body that stands straight with hanging arms. Body frame x
to the body's left, y up, z forward. The ranges of motion are those that physiotherapists measure,
rounded; what is drawn outside of them is set to their end.

Letters: J = 24 joints, N bodies.
"""

from typing import NamedTuple

import numpy as np

from hsjp_mm.ops.keypoint_orders import joint_names

JOINTS = {name: i for i, name in enumerate(joint_names('smpl_24'))}
Range = tuple[float, float]

LIMITS: dict[str, Range] = {
    'bend': (-25, 75), 'lean': (-30, 30), 'twist': (-40, 40),  # the spine
    'nod': (-45, 45), 'tilt': (-35, 35), 'look': (-70, 70),  # neck and head
    'shoulder_pitch': (-50, 175), 'shoulder_out': (-8, 175), 'shoulder_turn': (-85, 80),
    'elbow': (0, 145), 'forearm': (-80, 80), 'wrist': (-55, 55),
    'hip_pitch': (-20, 120), 'hip_out': (-15, 45), 'hip_turn': (-35, 40),
    'knee': (0, 140), 'ankle': (-45, 25),
}  # fmt: skip
"""The range of each angle; forwards, outwards and bending are positive, as is an inward turn of the
upper arm, an outward turn of the leg, and a foot whose toes are raised."""


class Leg(NamedTuple):
    """Ranges of a leg: the thigh forwards from the vertical and outwards, the knee."""

    pitch: Range
    knee: Range
    out: Range = (0, 8)


class Arm(NamedTuple):
    """Ranges of an arm: forwards and outwards from hanging, its inward turn, the elbow."""

    pitch: Range
    out: Range
    turn: Range
    elbow: Range


class Posture(NamedTuple):
    """Ranges of a posture.

    Attributes:
        share: Of all people.
        legs: Of the two legs; which is left is drawn.
        arms: Names of the arms that go with it.
        pelvis: How far it is turned forwards about the hips.
        bend: Of the spine forwards.
        flat: Whether the feet stand flat on the floor.
    """

    share: float
    legs: tuple[Leg, Leg]
    arms: tuple[str, ...]
    pelvis: Range = (-4, 8)
    bend: Range = (-6, 12)
    flat: bool = True


ARMS = {
    'hang': Arm((-12, 18), (6, 20), (-15, 45), (3, 40)),
    'akimbo': Arm((-25, -5), (35, 55), (25, 55), (80, 110)),
    'up': Arm((-15, 25), (125, 172), (-75, -20), (0, 70)),
    'sideways': Arm((-15, 25), (60, 110), (-40, 30), (0, 50)),
    'wave': Arm((-5, 30), (60, 105), (-85, -55), (50, 110)),
    'forward': Arm((35, 95), (0, 25), (-20, 50), (0, 80)),
    'fold': Arm((15, 45), (5, 25), (35, 70), (70, 115)),
    'swing': Arm((-35, 35), (4, 14), (0, 25), (10, 50)),
    'pump': Arm((-50, 40), (8, 22), (5, 40), (75, 115)),
    'lap': Arm((15, 45), (5, 20), (15, 55), (30, 85)),
    'down': Arm((60, 130), (0, 25), (-20, 30), (0, 40)),
}
FREE = ('hang', 'akimbo', 'up', 'sideways', 'wave', 'forward', 'fold')
SITTING = (Leg((72, 98), (60, 100), (2, 28)), Leg((72, 98), (60, 100), (2, 28)))
POSTURES = {
    'stand': Posture(0.24, (Leg((-4, 8), (0, 12)), Leg((-4, 8), (0, 12), (2, 18))), FREE),
    'reach': Posture(
        0.12, (Leg((-6, 15), (0, 20), (2, 22)), Leg((-8, 8), (0, 10), (2, 22))),
        ('up', 'wave', 'sideways', 'forward'), bend=(-15, 15),
    ),
    'walk': Posture(0.16, (Leg((14, 32), (2, 20)), Leg((-26, -6), (5, 45))), ('swing', 'hang')),
    'run': Posture(
        0.12, (Leg((35, 75), (45, 105)), Leg((-30, 0), (15, 80))), ('pump',), (4, 16), flat=False
    ),
    'sit': Posture(0.13, SITTING, (*FREE, 'lap', 'lap'), (-15, 5), (0, 28)),
    'crouch': Posture(
        0.07, (Leg((70, 100), (105, 138), (8, 42)), Leg((70, 100), (105, 138), (8, 42))),
        ('forward', 'down', 'lap', 'hang'), (10, 30), (10, 45),
    ),
    'kneel': Posture(
        0.05, (Leg((70, 95), (75, 100), (2, 20)), Leg((-12, 12), (78, 105))),
        ('lap', 'forward', 'hang', 'akimbo', 'down'), (0, 20), (0, 25), flat=False,
    ),
    'bend': Posture(
        0.07, (Leg((-10, 12), (0, 35), (0, 20)), Leg((-10, 12), (0, 35), (0, 20))),
        ('down', 'forward', 'hang'), (20, 65), (10, 50),
    ),
    'lie': Posture(
        0.04, (Leg((0, 60), (0, 95), (0, 25)), Leg((-10, 40), (0, 60), (0, 25))),
        ('hang', 'up', 'sideways', 'fold', 'wave'), flat=False,
    ),
}  # fmt: skip
MIRROR = np.diag([-1.0, 1, 1])


class Pose(NamedTuple):
    """A body's posture.

    Attributes:
        name: Of :data:`POSTURES`.
        rotations: (J, 3, 3); the first turns the body from standing straight.
    """

    name: str
    rotations: np.ndarray


def turn(axis: str, degrees: float) -> np.ndarray:
    """The rotation (3, 3) about ``'x'``, ``'y'`` or ``'z'``, counterclockwise."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {'x': (1, 2), 'y': (2, 0), 'z': (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw a posture, and a pose within its ranges."""
    shares = [posture.share for posture in POSTURES.values()]
    name = str(rng.choice([*POSTURES], p=shares))
    posture = POSTURES[name]
    pelvis = rng.uniform(*posture.pelvis)
    rotations = np.broadcast_to(np.eye(3), (len(JOINTS), 3, 3)).copy()
    rotations[0] = turn('x', pelvis)
    if name == 'lie':  # on the back, the front or a side
        rotations[0] = turn('x', rng.choice([-90, 90], p=[0.7, 0.3]) + pelvis)
        rotations[0] = rotations[0] @ turn('y', rng.uniform(-50, 50))
    bend, lean = rng.uniform(*posture.bend), rng.normal(0, 7)
    _set_spine(rotations, bend, lean, rng.normal(0, 10))
    upright = 0 if name == 'lie' else -0.6 * (bend + pelvis)
    _set_head(rotations, upright + rng.normal(3, 10), rng.normal(0, 8), rng.normal(0, 24))
    first = rng.integers(2)
    for side, leg in enumerate((posture.legs[first], posture.legs[1 - first])):
        angles = _draw_leg(rng, leg, pelvis, posture.flat)
        _set(rotations, side, _leg(angles))
    swing = 1 if first else -1
    for side in (0, 1):
        angles = _draw_arm(rng, str(rng.choice(posture.arms)), swing if side else -swing)
        _set(rotations, side, _arm(angles))
    return Pose(name, rotations)


def _clipped(angles: dict[str, float]) -> dict[str, float]:
    return {name: float(np.clip(angle, *LIMITS[name])) for name, angle in angles.items()}


def _set_spine(rotations: np.ndarray, bend: float, lean: float, twist: float) -> None:
    """Share the angles among the three joints of the spine."""
    angles = _clipped(dict(bend=bend, lean=lean, twist=twist))
    for joint, share in (('spine1', 0.3), ('spine2', 0.4), ('spine3', 0.3)):
        rotations[JOINTS[joint]] = (
            turn('y', share * angles['twist'])
            @ turn('x', share * angles['bend'])
            @ turn('z', share * angles['lean'])
        )


def _set_head(rotations: np.ndarray, nod: float, tilt: float, look: float) -> None:
    """Share the angles between neck and head."""
    angles = _clipped(dict(nod=nod, tilt=tilt, look=look))
    for joint in ('neck', 'head'):
        rotations[JOINTS[joint]] = (
            turn('y', angles['look'] / 2)
            @ turn('x', angles['nod'] / 2)
            @ turn('z', angles['tilt'] / 2)
        )


def _set(rotations: np.ndarray, side: int, limb: dict[str, np.ndarray]) -> None:
    """Set a limb's rotations, which are those of a left one; side 1 is the right."""
    for joint, rotation in limb.items():
        name = f'{("left", "right")[side]}_{joint}'
        rotations[JOINTS[name]] = MIRROR @ rotation @ MIRROR if side else rotation


def _draw_leg(rng: np.random.Generator, leg: Leg, pelvis: float, flat: bool) -> dict[str, float]:
    pitch, knee = rng.uniform(*leg.pitch), rng.uniform(*leg.knee)
    standing = min(knee - pitch, 20) + rng.uniform(-3, 3)  # no more than the toes can be raised
    ankle = standing if flat else rng.uniform(-35, 10)
    return _clipped(
        dict(
            hip_pitch=pitch + pelvis,
            hip_out=rng.uniform(*leg.out),
            hip_turn=rng.normal(6, 8),
            knee=knee,
            ankle=ankle,
        )
    )


def _leg(angles: dict[str, float]) -> dict[str, np.ndarray]:
    """Rotations of a left leg."""
    return dict(
        hip=turn('x', -angles['hip_pitch'])
        @ turn('z', angles['hip_out'])
        @ turn('y', angles['hip_turn']),
        knee=turn('x', angles['knee']),
        ankle=turn('x', -angles['ankle']),
        foot=turn('x', min(0.0, 0.3 * angles['ankle'])),
    )


def _draw_arm(rng: np.random.Generator, name: str, swing: int) -> dict[str, float]:
    """Angles of an arm; ``swing`` is 1 on the side of the leg that is behind, else −1."""
    arm = ARMS[name]
    pitch = rng.uniform(*arm.pitch)
    if name in ('swing', 'pump'):
        pitch = swing * abs(pitch)
    return _clipped(
        dict(
            shoulder_pitch=pitch,
            shoulder_out=rng.uniform(*arm.out),
            shoulder_turn=rng.uniform(*arm.turn),
            elbow=rng.uniform(*arm.elbow),
            forearm=rng.normal(0, 30),
            wrist=rng.normal(0, 14),
        )
    )


def _arm(angles: dict[str, float]) -> dict[str, np.ndarray]:
    """Rotations of a left arm, which at rest points to x; the collar goes up with it."""
    out, pitch = angles['shoulder_out'], angles['shoulder_pitch']
    raised = max(0.0, out - 60) * 0.22
    return dict(
        collar=turn('y', -0.06 * max(0.0, pitch)) @ turn('z', raised),
        shoulder=turn('x', -pitch)
        @ turn('z', out - 90 - raised)
        @ turn('x', angles['shoulder_turn']),
        elbow=turn('y', -angles['elbow']) @ turn('x', 0.5 * angles['forearm']),
        wrist=turn('x', 0.5 * angles['forearm']) @ turn('z', angles['wrist']),
    )


# Limbs as rows of balls from one joint to another: the joints, where on the way the first and the
# last ball are, and the radius in meters.
LIMBS = {
    **{
        f'{side}_{name}': (f'{side}_{start}', f'{side}_{end}', span, radius)
        for side in ('left', 'right')
        for name, start, end, span, radius in (
            ('upper_arm', 'shoulder', 'elbow', (0.35, 1), 0.042),
            ('forearm', 'elbow', 'wrist', (0.1, 1), 0.034),
            ('hand', 'wrist', 'hand', (0.2, 1.6), 0.03),
            ('thigh', 'hip', 'knee', (0.35, 1), 0.068),
            ('shin', 'knee', 'ankle', (0.1, 1), 0.047),
            ('foot', 'ankle', 'foot', (0, 1.2), 0.035),
        )
    },
    'left_trunk': ('left_hip', 'left_collar', (0, 0.9), 0.09),
    'right_trunk': ('right_hip', 'right_collar', (0, 0.9), 0.09),
    'spine': ('pelvis', 'neck', (0, 0.85), 0.105),
    'head': ('neck', 'head', (0.5, 2.2), 0.085),
}  # fmt: skip
BALLS = 6
"""In a row."""
JOINED = {('upper_arm', 'forearm'), ('forearm', 'hand'), ('thigh', 'shin'), ('shin', 'foot'),
          ('upper_arm', 'hand'), ('thigh', 'foot')}  # fmt: skip
SLACK = 0.02
"""Meters that limbs may be pressed into each other."""


def _tested() -> np.ndarray:
    """Which pairs of limbs must not be in each other, (L, L)."""
    names = [*LIMBS]
    trunk = {'left_trunk', 'right_trunk', 'spine', 'head'}
    pairs = np.zeros((len(names), len(names)), bool)
    for i, first in enumerate(names):
        for j, second in enumerate(names[:i]):
            side, limb = first.split('_', 1) if first not in trunk else ('', first)
            other, part = second.split('_', 1) if second not in trunk else ('', second)
            attached = {limb, part} & trunk and {limb, part} & {'upper_arm', 'thigh'}
            joined = side == other and ((limb, part) in JOINED or (part, limb) in JOINED)
            both = {limb, part} <= trunk
            pairs[i, j] = not (attached or joined or both)
    return pairs


TESTED = _tested()


def intrusion(joints: np.ndarray) -> np.ndarray:
    """How deep limbs are in each other or in the trunk.

    Args:
        joints: (N, J, 3) in meters.

    Returns:
        (N,) in meters, beyond what is allowed; 0 or less is none.
    """
    rows = []
    for start, end, span, _ in LIMBS.values():
        shares = np.linspace(*span, BALLS)[:, None]
        first, last = joints[:, None, JOINTS[start]], joints[:, None, JOINTS[end]]
        rows.append(first + shares * (last - first))
    balls = np.stack(rows, axis=1)
    limbs = balls.shape[1]
    flat = balls.reshape(len(joints), -1, 3)
    squares = (flat**2).sum(-1)
    gaps = squares[:, :, None] + squares[:, None] - 2 * flat @ flat.transpose(0, 2, 1)
    gaps = np.sqrt(gaps.clip(0)).reshape(len(joints), limbs, BALLS, limbs, BALLS).min((2, 4))
    radii = np.array([radius for *_, radius in LIMBS.values()])
    depths = radii[:, None] + radii - SLACK - gaps
    return depths[:, TESTED].max(axis=1)
