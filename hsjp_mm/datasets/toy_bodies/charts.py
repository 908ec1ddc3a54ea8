"""The surface of the free body in DensePose's terms: 14 parts, 24 charts, and places in them.

DensePose's own charts are of a body that is not free, and no table leads from that one to ours. So
these are charts of the same parts with the same numbers and mirror images, but with places of
their own: U across and V along the part on the body at rest, from 0 to 1.

Letters: P points. Places are those of the mean body at rest, in its frame, in meters.
"""

from functools import cache
from pathlib import Path

import numpy as np
from scipy.io import savemat

from hsjp_mm.datasets.densepose import STEPS, TABLES
from hsjp_mm.datasets.toy_bodies.scenes import free_body
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.ops.part_labels import CHARTS, DENSEPOSE_PARTS

PART_OF_JOINT = {
    'hip': 'upper_leg', 'knee': 'lower_leg', 'ankle': 'foot', 'foot': 'foot',
    'shoulder': 'upper_arm', 'elbow': 'lower_arm', 'wrist': 'hand', 'hand': 'hand',
    'neck': 'head', 'head': 'head',
}  # fmt: skip
"""The part of a joint's piece of the body; all others are the torso's."""
CHARTS_OF_PART = {
    'torso': (1, 2), 'right_hand': (3, 3), 'left_hand': (4, 4), 'left_foot': (5, 5),
    'right_foot': (6, 6), 'right_upper_leg': (7, 9), 'left_upper_leg': (8, 10),
    'right_lower_leg': (11, 13), 'left_lower_leg': (12, 14), 'left_upper_arm': (15, 17),
    'right_upper_arm': (16, 18), 'left_lower_arm': (19, 21), 'right_lower_arm': (20, 22),
    'head': (23, 24),
}  # fmt: skip
"""The charts of a part's back and front; of the head's right and left."""
AXES = {
    'torso': (0, 1), 'head': (2, 1), 'hand': (2, 0), 'foot': (0, 2), 'upper_leg': (0, 1),
    'lower_leg': (0, 1), 'upper_arm': (1, 0), 'lower_arm': (1, 0),
}  # fmt: skip
"""The axes of the body at rest along which U and V of a part run."""


def _part_of(joint: str) -> str:
    side, _, name = joint.rpartition('_')
    part = PART_OF_JOINT.get(name, 'torso')
    return part if part in DENSEPOSE_PARTS else f'{side}_{part}'


LABELS = np.array([0, *(1 + DENSEPOSE_PARTS.index(_part_of(j)) for j in joint_names('smpl_24'))])
"""DensePose's label of a joint's piece of the body, by 1 + joint; 0 is the background."""


@cache
def _extents() -> np.ndarray:
    """The lowest and highest place of each part, |x| where it has a side, (14, 2, 3)."""
    body = free_body()
    labels = LABELS[1 + body.parts]
    found = []
    for label, part in enumerate(DENSEPOSE_PARTS, start=1):
        places = _unsided(body.rest[labels == label], part)
        found.append([places.min(axis=0), places.max(axis=0)])
    return np.array(found)


def _unsided(places: np.ndarray, part: str) -> np.ndarray:
    if part in ('torso', 'head'):
        return places
    return np.concatenate([np.abs(places[:, :1]), places[:, 1:]], axis=1)


def surface(joints: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The charts of points, and where in them they are.

    Args:
        joints: (P,) int, the joint that each goes with.
        places: (P, 3).

    Returns:
        (P,) int from 1 to 24, and (P, 2), U and V.
    """
    charts, uv = np.zeros(len(joints), int), np.zeros((len(joints), 2))
    labels = LABELS[1 + joints]
    for label, part in enumerate(DENSEPOSE_PARTS, start=1):
        own = np.flatnonzero(labels == label)
        if not len(own):
            continue
        low, high = _extents()[label - 1]
        back, front = CHARTS_OF_PART[part]
        second = places[own, 0] > 0 if part == 'head' else places[own, 2] > (low + high)[2] / 2
        charts[own] = np.where(second, front, back)
        axes = list(AXES[part.removeprefix('left_').removeprefix('right_')])
        shares = (_unsided(places[own], part) - low) / (high - low)
        uv[own] = np.clip(shares[:, axes], 0, 1)
    return charts, uv


def write_symmetry(path: Path) -> None:
    """Write what U and V become in a flipped image, in the form of DensePose's own file.

    Charts of the two sides have the same U and V; on the torso's U runs the other way.
    """
    v, u = np.mgrid[: STEPS + 1, : STEPS + 1].astype(np.float32) / STEPS
    tables = {name: np.empty((1, CHARTS), object) for name in TABLES}
    for chart in range(CHARTS):
        tables[TABLES[0]][0, chart] = 1 - u if chart + 1 in CHARTS_OF_PART['torso'] else u
        tables[TABLES[1]][0, chart] = v
    savemat(path, tables, do_compression=True)
