"""Groups of related body parts, from the mutual information of their places: PBN, section 3.1.

Letters: N poses, K keypoints, S cells along a side of the lattice. A keypoint that is not labelled
is NaN, and its cell -1.
"""

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from hsjp_mm.analysis.persons import Persons, poses_of, read_poses
from hsjp_mm.models.utils.part_groups import PartGroups, read_part_groups
from hsjp_mm.utils.files import write_text
from hsjp_mm.utils.moved import moved_names
from hsjp_mm.utils.optional import import_optional

__all__ = [
    'EXTENT', 'HEAD', 'INITIALISATIONS', 'Grouping', 'cluster', 'group_parts', 'lattice_cells',
    'mutual_information', 'normalise', 'overlap', 'poses_of', 'read_poses', 'scale_poses',
    'write_part_groups',
]  # fmt: skip
__getattr__ = moved_names(__name__, {'Poses': 'hsjp_mm.analysis.persons.persons_of_points'})

HEAD = ('upper_neck', 'head_top')
"""The head of MPII; six of its length are the 200 pixels that MPII's ``scale`` counts."""
EXTENT = 5.75
"""Side of the lattice in head lengths.

The paper does not give it, but says what comes out: the five groups of figure 2(b), and with six
groups the head and the neck apart from the shoulders, while ankles and knees stay together. Of all
MPII poses both come out from 5 to 5.75 head lengths; from 5.8 on the legs split instead. Within
that, the five groups depend least on which poses are taken at 5.75: half of the poses give the same
ones in 19 of 20 draws, at 5.5 in 4 and at 5 in none. Six percent of the keypoints lie beyond it,
nearly all of them ankles and head tops.
"""
POSES_A_CELL = 35
"""Of the lattice, from which groups are stable: 16 by 16 cells need 9,000 poses.

That are half of MPII's, of which 19 of 20 draws give the same five groups, see
:func:`group_parts`. Of fewer poses, 28 a cell, one of 20 does. With 8 cells a side 17 of 20 draws
of 28 poses a cell do, and all of 70.
"""
COARSEST = 4
"""Cells a side of a lattice that still tells limbs apart."""
INITIALISATIONS = 100
"""Of k-means: with sklearn's 10, some seeds miss the best of eight clusters."""


@dataclass(frozen=True)
class Grouping:
    """What :func:`group_parts` found.

    Attributes:
        part_groups: the groups, each and all in the order of the keypoints.
        affinity: (K, K), normalised mutual information; zeros on the diagonal.
        mean_pose: (K, 2), of the poses as scaled and centerd; (x, y) in units of length.
        num_poses: those that could be scaled.
        fewest_poses: that any two keypoints have in common.
        outside: share of the labelled keypoints that lie beyond the lattice.
    """

    part_groups: PartGroups
    affinity: np.ndarray
    mean_pose: np.ndarray
    num_poses: int
    fewest_poses: int
    outside: float


# --- equation (1) -------------------------------------------------------------------------------


def scale_poses(poses: Persons, unit: tuple[str, str] | str = HEAD) -> np.ndarray:
    """Scale poses by a unit of length and center them on the mean of their labelled keypoints.

    On average that mean is the center that MPII annotates; the two differ by 0.26 heads (standard
    deviation of x, and of y, over 2,008 poses of its validation split).

    Args:
        poses: N of them.
        unit: two keypoints, whose distance is the unit; or ``'box'``, the longer side of the
            person's box, which for MPII is its ``scale`` times 200 pixels.

    Returns:
        (up to N, K, 2); without the poses whose unit is not labelled or is zero.

    Raises:
        ValueError: an unknown keypoint, no boxes, or no pose left.
    """
    lengths = _lengths(poses, unit)
    fit = lengths > 0  # not so for NaN
    if not fit.any():
        raise ValueError(f'unit={unit!r}: none of the {len(lengths)} poses has that length')
    scaled = poses.points[fit] / lengths[fit, None, None]
    labelled = ~np.isnan(scaled[..., :1])
    totals = np.where(labelled, scaled, 0).sum(axis=1, keepdims=True)
    return scaled - totals / labelled.sum(axis=1, keepdims=True).clip(1)


def _lengths(poses: Persons, unit: tuple[str, str] | str) -> np.ndarray:
    if unit == 'box':
        if np.isnan(poses.boxes).all():
            raise ValueError("unit='box', but these poses have no boxes; name two keypoints")
        return poses.boxes[:, 2:].max(axis=1)
    if isinstance(unit, str) or len(unit) != 2 or not set(unit) <= set(poses.names):
        raise ValueError(f"unit={unit!r} must be 'box' or two of {', '.join(poses.names)}")
    a, b = (poses.names.index(name) for name in unit)
    return np.linalg.norm(poses.points[:, a] - poses.points[:, b], axis=1)


def lattice_cells(scaled: np.ndarray, extent: float = EXTENT, side: int = 16) -> np.ndarray:
    """Find the cell of each keypoint in a square lattice around the center.

    What lies beyond the lattice counts in its border cells.

    Args:
        scaled: (N, K, 2), (x, y) in units of length from the center.
        extent: side of the lattice in units of length.
        side: S.

    Returns:
        (N, K), row · S + column; -1 for NaN.

    Raises:
        ValueError: an extent or a side that is not positive.
    """
    if extent <= 0 or side < 1:
        raise ValueError(f'extent={extent} and side={side} must be positive')
    labelled = ~np.isnan(scaled).any(axis=-1)
    places = np.floor((np.nan_to_num(scaled) / extent + 0.5) * side)
    columns, rows = np.moveaxis(places.clip(0, side - 1).astype(int), -1, 0)
    return np.where(labelled, rows * side + columns, -1)


def mutual_information(cells: np.ndarray, num_cells: int) -> np.ndarray:
    """Compute equation (1) of each pair of keypoints, in nats, from histograms.

    Each pair's three distributions are of the poses in which both are labelled.

    Args:
        cells: (N, K) from 0 to ``num_cells`` - 1, or -1.
        num_cells: S².

    Returns:
        (K, K), symmetric, with the entropies on the diagonal; zero for a pair without poses.
    """
    # imported here, for it takes seconds that runs would wait
    metrics = import_optional('sklearn.metrics', 'grouping keypoints')

    num_keypoints = cells.shape[1]
    information = np.zeros((num_keypoints, num_keypoints))
    for a in range(num_keypoints):
        for b in range(a, num_keypoints):
            both = (cells[:, a] >= 0) & (cells[:, b] >= 0)
            if both.any():
                joint = np.bincount(
                    cells[both, a] * num_cells + cells[both, b], minlength=num_cells**2
                ).reshape(num_cells, num_cells)
                information[a, b] = metrics.mutual_info_score(None, None, contingency=joint)
    return np.maximum(information, information.T)


def normalise(information: np.ndarray) -> np.ndarray:
    """Bring a matrix (K, K) linearly to [0, 1] off its diagonal, which becomes zero.

    Raises:
        ValueError: all pairs are alike, so nothing tells them apart.
    """
    off = ~np.eye(len(information), dtype=bool)
    if not off.any() or np.ptp(information[off]) == 0:
        raise ValueError('no two pairs of keypoints differ in their mutual information')
    low, high = information[off].min(), information[off].max()
    return np.where(off, (information - low) / (high - low), 0)


# --- groups -------------------------------------------------------------------------------------


def cluster(affinity: np.ndarray, num_groups: int, seed: int = 0) -> np.ndarray:
    """Cluster keypoints spectrally.

    Args:
        affinity: (K, K), symmetric, not negative; the diagonal does not matter.
        num_groups: from 2 to K, which puts each keypoint in a group of its own.
        seed: of k-means.

    Returns:
        (K,), the group of each keypoint.

    Raises:
        ValueError: a number of groups out of range.
    """
    num_keypoints = len(affinity)
    if not 2 <= num_groups <= num_keypoints:
        raise ValueError(f'num_groups={num_groups} must be from 2 to {num_keypoints} keypoints')
    if num_groups == num_keypoints:  # as many eigenvectors as ARPACK does not find
        return np.arange(num_keypoints)
    clustering = import_optional('sklearn.cluster', 'grouping keypoints')  # as above
    spectral = clustering.SpectralClustering(
        num_groups, affinity='precomputed', n_init=INITIALISATIONS, random_state=seed
    )
    return spectral.fit_predict(affinity)


def group_parts(
    poses: Persons,
    num_groups: int = 5,
    unit: tuple[str, str] | str = HEAD,
    extent: float = EXTENT,
    side: int = 16,
    seed: int = 0,
) -> Grouping:
    """Group the keypoints that tell most of each other's place.

    Histograms of few poses overstate the information, the more so the wider a part spreads. Of
    20 draws of half of MPII's 17,928 poses, in the default lattice, all give the same two and the
    same six groups as all poses, 19 the same five, and 11 the same eight; with 40 % of the poses
    one gives the same five. For fewer poses take a coarser lattice: with 8 cells a side a quarter
    of the poses gives the same five in all 20 draws, a tenth in 17.

    Fewer poses than :data:`POSES_A_CELL` are a warning.

    Args:
        poses: of K keypoints.
        num_groups, seed: see :func:`cluster`.
        unit: see :func:`scale_poses`.
        extent, side: see :func:`lattice_cells`.

    Raises:
        ValueError: an argument out of range; two keypoints that no pose has both of.
    """
    scaled = scale_poses(poses, unit)
    cells = lattice_cells(scaled, extent, side)
    labelled = cells >= 0
    together = labelled.T.astype(int) @ labelled
    if not together.all():
        a, b = (poses.names[k] for k in np.argwhere(together == 0)[0])
        raise ValueError(f'unit={unit!r}: no pose with that length has both {a} and {b}')
    _warn_of_few(len(scaled), side)
    affinity = normalise(mutual_information(cells, side**2))
    labels = cluster(affinity, num_groups, seed)
    members: dict[int, list[str]] = {}
    for name, label in zip(poses.names, labels, strict=True):
        members.setdefault(int(label), []).append(name)
    return Grouping(
        part_groups=PartGroups(poses.names, tuple(map(tuple, members.values()))),
        affinity=affinity,
        mean_pose=np.nanmean(scaled, axis=0),
        num_poses=len(scaled),
        fewest_poses=int(together.min()),
        outside=float((abs(scaled[labelled]) > extent / 2).any(axis=-1).mean()),
    )


def _warn_of_few(number: int, side: int) -> None:
    """Say when poses are too few for the lattice, and which one they would do for."""
    needed = POSES_A_CELL * side**2
    if number >= needed:
        return
    fitting = math.isqrt(number // POSES_A_CELL)
    way_out = (
        f'a lattice of {fitting} cells a side needs no more than these'
        if fitting >= COARSEST
        else 'they are too few for a coarser lattice too: take groups of a larger data set'
    )
    print_log(
        f'{number} poses are too few for a lattice of {side} by {side} cells; the groups may be '
        f'those of chance. About {needed:,} are needed, {POSES_A_CELL} a cell: in 16 by 16 cells '
        "19 of 20 draws of 9,000 of MPII's poses gave the same five groups, and one of 20 draws of "
        f'7,200; {way_out}',
        'current',
        logging.WARNING,
    )


def overlap(
    part_groups: PartGroups, also: Mapping[str, str] | Iterable[tuple[str, str]]
) -> PartGroups:
    """Put keypoints in further groups too.

    Args:
        part_groups: where they stay in their groups.
        also: for a keypoint, another one whose groups it joins: ``{'left_shoulder': 'left_elbow'}``
            puts the shoulder in its arm's group. Pairs, if it joins those of several.

    Raises:
        ValueError: an unknown keypoint, or one that is in that group already.
    """
    groups = [list(group) for group in part_groups.groups]
    pairs = list(also.items() if isinstance(also, Mapping) else also)
    for name, companion in pairs:
        for one in (name, companion):
            if one not in part_groups.keypoints:
                raise ValueError(
                    f'also={pairs} names the unknown keypoint {one!r}; '
                    f'known are {", ".join(part_groups.keypoints)}'
                )
        for group, old in zip(groups, part_groups.groups, strict=True):
            if companion in old:
                if name in group:
                    raise ValueError(f'also={pairs}: {name} and {companion} share a group')
                group.append(name)
    order = part_groups.keypoints.index
    return PartGroups(part_groups.keypoints, tuple(tuple(sorted(g, key=order)) for g in groups))


def write_part_groups(
    path: str | Path, part_groups: PartGroups, source: Mapping[str, Any] | None = None
) -> None:
    """Write groups as JSON, one group a line, as the models read them.

    Args:
        path: of the file; its folder is made.
        part_groups: checked before anything is written.
        source: what they come from, for readers.

    Raises:
        ValueError: see :func:`~hsjp_mm.models.utils.part_groups.read_part_groups`.
    """
    content = {'keypoints': part_groups.keypoints, 'groups': part_groups.groups}
    read_part_groups(content)
    groups = ',\n'.join(f'    {_json(group)}' for group in part_groups.groups)
    entries = [f'"keypoints": {_json(part_groups.keypoints)}', f'"groups": [\n{groups}\n  ]']
    if source:
        lines = ',\n'.join(f'    {_json(key)}: {_json(value)}' for key, value in source.items())
        entries.append(f'"source": {{\n{lines}\n  }}')
    write_text(path, '{\n  ' + ',\n  '.join(entries) + '\n}\n')


def _json(value: str | Sequence | Any) -> str:
    return json.dumps(value, ensure_ascii=False)
