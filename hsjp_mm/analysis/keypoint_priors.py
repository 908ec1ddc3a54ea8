"""Where in their boxes keypoints lie: the priors of the HSJP paper's supplement.

Letters: P persons, K keypoints, N patches along a side.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmpose.datasets.datasets import MpiiDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

MPII_PIXELS = 200
"""Side of the box of MPII's scale 1 in pixels, and …"""
MPII_SHIFT = 15
"""… how far below the centre its middle lies, as in the stock MpiiDataset."""


@dataclass(frozen=True)
class Persons:
    """Annotated keypoints and boxes.

    Args:
        names: of the K keypoints.
        keypoints: (P, K, 2), (x, y) in pixels of the image.
        labelled: (P, K) bool.
        boxes: (P, 4), left, top, width, height in pixels.
        crowds: how many crowds were left out.
    """

    names: tuple[str, ...]
    keypoints: np.ndarray
    labelled: np.ndarray
    boxes: np.ndarray
    crowds: int = 0


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


def read_persons(*paths: str | Path) -> Persons:
    """Read the persons of COCO-style or MPII-style JSONs.

    Not by stock data sets: these clip boxes, leave out persons without saying so, and make objects
    of a quarter of a million persons.

    Args:
        paths: one or more, of COCO's format, with the keypoints' names in ``categories``, or of the
            MPII format of the stock MpiiDataset, whose box, from centre and scale, is taken.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another format; keypoints without names, or other ones than in the first file.
    """
    parts = [_read(Path(path)) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if part.names != parts[0].names:
            raise ValueError(f'{path} has other keypoints than {paths[0]}: {", ".join(part.names)}')
    return Persons(
        names=parts[0].names,
        keypoints=np.concatenate([part.keypoints for part in parts]),
        labelled=np.concatenate([part.labelled for part in parts]),
        boxes=np.concatenate([part.boxes for part in parts]),
        crowds=sum(part.crowds for part in parts),
    )


def _read(path: Path) -> Persons:
    if not path.is_file():
        raise FileNotFoundError(f'path={str(path)!r} is not a file')
    content = json.loads(path.read_text(encoding='utf-8'))
    if isinstance(content, dict) and {'annotations', 'categories'} <= set(content):
        return _coco_persons(content, path)
    if isinstance(content, list) and content and {'joints', 'joints_vis'} <= set(content[0]):
        return _mpii_persons(content)
    raise ValueError(f'{path} is neither of COCO format nor of the MPII format of MMPose')


def _coco_persons(coco: dict, path: Path) -> Persons:
    names = {
        category['id']: tuple(category['keypoints'])
        for category in coco['categories']
        if category.get('keypoints')
    }
    kinds = set(names.values())
    if len(kinds) != 1:
        raise ValueError(
            f'{path}: its categories must name the keypoints, and all the same, but there are '
            f'{len(kinds)} lists of names'
        )
    people = [one for one in coco['annotations'] if one['category_id'] in names]
    singles = [one for one in people if not one.get('iscrowd', 0)]
    number = len(next(iter(kinds)))
    points = np.array([one.get('keypoints') or [0] * 3 * number for one in singles], float)
    points = points.reshape(len(singles), number, 3)
    boxes = np.array([one.get('bbox') or [0] * 4 for one in singles], float).reshape(-1, 4)
    return Persons(
        names=next(iter(kinds)), keypoints=points[..., :2], labelled=points[..., 2] > 0,
        boxes=boxes, crowds=len(people) - len(singles),
    )  # fmt: skip


def _mpii_persons(people: list[dict]) -> Persons:
    names = parse_pose_metainfo(MpiiDataset.METAINFO)['keypoint_id2name']
    centres = np.array([one['center'] for one in people], float)
    scales = np.array([one['scale'] for one in people], float)[:, None]
    sides = np.repeat(MPII_PIXELS * scales, 2, axis=1)
    middles = centres + np.array([0, MPII_SHIFT]) * scales
    return Persons(
        names=tuple(names[k] for k in range(len(names))),
        keypoints=np.array([one['joints'] for one in people], float),
        labelled=np.array([one['joints_vis'] for one in people]) > 0,
        boxes=np.concatenate([middles - sides / 2, sides], axis=1),
    )
