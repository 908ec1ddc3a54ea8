"""Where in their boxes keypoints lie: the priors of the HSJP paper's supplement.

Letters: P persons, K keypoints, N patches along a side.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hsjp_mm.analysis.persons import MPII_PIXELS, MPII_SHIFT, Persons, read_persons

__all__ = [
    'MPII_PIXELS',
    'MPII_SHIFT',
    'KeypointPriors',
    'Persons',
    'measure_priors',
    'read_persons',
]


@dataclass(frozen=True)
class KeypointPriors:
    """For each keypoint the patches of the box that it lies in.

    A keypoint's shares and its share outside are 1 together, or NaN if it is never labelled.

    Args:
        names: of the K keypoints.
        shares: (K, N, N) by row and column, from the top left.
        outside: (K,) share outside of the box.
        labelled: (K,) how often it is labelled, in persons whose box has an area: what the shares
            are of.
        persons: how many have a labelled keypoint and a box with an area.
        unlabelled: how many were left out without a labelled keypoint.
        without_area: how many with labelled keypoints were left out for their box without an area.
        crowds: how many crowds were left out.
    """

    names: tuple[str, ...]
    shares: np.ndarray
    outside: np.ndarray
    labelled: np.ndarray
    persons: int
    unlabelled: int
    without_area: int
    crowds: int

    def to_dict(self) -> dict[str, Any]:
        """Make it fit for JSON; null where a keypoint is never labelled."""
        counts = ('persons', 'unlabelled', 'without_area', 'crowds')
        keypoints = {
            name: {
                'labelled': int(number),
                'outside': float(outside) if number else None,
                'shares': shares.tolist() if number else None,
            }
            for name, number, outside, shares in zip(
                self.names, self.labelled, self.outside, self.shares, strict=True
            )
        }
        return {
            'grid': self.shares.shape[1],
            **{count: getattr(self, count) for count in counts},
            'keypoints': keypoints,
        }


def measure_priors(persons: Persons, grid: int = 3) -> KeypointPriors:
    """Count how often each keypoint falls into each of the N×N equal patches of its person's box.

    On a border between patches it falls into the right or lower one, on the right or lower edge of
    the box into the last one. Keypoints outside of the box are counted apart: COCO's boxes hold
    what is seen of a person, and hidden hips are labelled beyond them.

    Args:
        persons: annotated ones.
        grid: N; 3 in the supplement.

    Raises:
        ValueError: ``grid`` is not positive, or no person can be counted.
    """
    if grid < 1:
        raise ValueError(f'grid={grid} must be 1 or more')
    has_keypoints = persons.labelled.any(axis=1)
    has_area = (persons.boxes[:, 2:] > 0).all(axis=1)
    counted = has_keypoints & has_area
    if not counted.any():
        raise ValueError(
            f'none of {len(counted)} persons has labelled keypoints and a box with an area'
        )
    labelled, boxes = persons.labelled[counted], persons.boxes[counted]
    person, keypoint = np.nonzero(labelled)
    offsets = persons.keypoints[counted][person, keypoint] - boxes[person, :2]
    places = offsets / boxes[person, 2:] * grid  # in patches from the top left of the box
    inside = ((places >= 0) & (places <= grid)).all(axis=1)
    column, row = np.minimum(places[inside].astype(int), grid - 1).T
    number = len(persons.names)
    cells = (keypoint[inside] * grid + row) * grid + column
    counts = np.bincount(cells, minlength=number * grid**2).reshape(number, grid, grid)
    total = labelled.sum(axis=0)
    with np.errstate(invalid='ignore'):  # 0/0 of a keypoint that is never labelled
        return KeypointPriors(
            names=persons.names,
            shares=counts / total[:, None, None],
            outside=(total - counts.sum(axis=(1, 2))) / total,
            labelled=total,
            persons=int(counted.sum()),
            unlabelled=int((~has_keypoints).sum()),
            without_area=int((has_keypoints & ~has_area).sum()),
            crowds=persons.crowds,
        )
