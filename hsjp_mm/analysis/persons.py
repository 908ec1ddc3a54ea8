"""Annotated persons, and the files they are read from.

Letters: P persons, K keypoints. Points are (x, y) in pixels of each person's image.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hsjp_mm.datasets.coco_files import Entries, check_coco
from hsjp_mm.datasets.metainfo import parse_metainfo
from hsjp_mm.datasets.stock_files import build_dataset
from hsjp_mm.ops.visibility import visibility
from hsjp_mm.utils.configs import read_config, required
from hsjp_mm.utils.files import existing_file, read_json, read_text

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

MPII = 'configs/_base_/datasets/mpii.py'
MPII_PIXELS = 200
"""Side of the box of MPII's scale 1 in pixels, and …"""
MPII_SHIFT = 15
"""… how far below the center its middle lies, as in the stock MpiiDataset."""


@dataclass(frozen=True)
class Persons:
    """Annotated keypoints of persons of one kind, with what else is known of them.

    Args:
        names: of the K keypoints.
        keypoints: (P, K, 2); what stands where one is not labelled means nothing.
        labelled: (P, K) bool.
        boxes: (P, 4), left, top, width, height in pixels; NaN where not known.
        crowds: how many crowds were left out.
        areas: (P,) in square pixels; or one NaN, if they are not known.
        links: pairs of keypoints that a skeleton joins.
    """

    names: tuple[str, ...]
    keypoints: np.ndarray
    labelled: np.ndarray
    boxes: np.ndarray
    crowds: int = 0
    areas: np.ndarray = field(default_factory=lambda: np.array(np.nan))
    links: tuple[tuple[int, int], ...] = ()

    @property
    def points(self) -> np.ndarray:
        """The keypoints (P, K, 2), NaN where one is not labelled."""
        return np.where(self.labelled[..., None], self.keypoints, np.nan)


def persons_of_points(
    keypoints: np.ndarray,
    names: tuple[str, ...],
    links: tuple[tuple[int, int], ...] = (),
    boxes: np.ndarray | None = None,
) -> Persons:
    """Make persons of points alone.

    Args:
        keypoints: (P, K, 2), NaN where one is not labelled.
        names, links: as in :class:`Persons`.
        boxes: (P,), the longer sides of their boxes in pixels, if known.
    """
    sides = np.full(len(keypoints), np.nan) if boxes is None else boxes
    unknown = np.full((len(keypoints), 2), np.nan)
    return Persons(
        names=names,
        keypoints=keypoints,
        labelled=~np.isnan(keypoints).any(axis=-1),
        boxes=np.hstack([unknown, np.stack([sides, sides], axis=1)]),
        links=links,
    )


# --- COCO and MPII, as they stand in the file ---------------------------------------------------


def read_persons(*paths: str | Path) -> Persons:
    """Read the persons of COCO-style or MPII-style JSONs.

    Not by stock data sets: these clip boxes, leave out persons without saying so, and make objects
    of a quarter of a million persons. Null in place of a person's box is a box without an area, in
    place of the keypoints, none labelled.

    Args:
        paths: one or more, of COCO's format, with the keypoints' names in ``categories``, or of the
            MPII format of the stock MpiiDataset, whose box, from center and scale, is taken.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another format; keypoints without names, or other ones than in the first file;
            an entry that is not as :mod:`hsjp_mm.datasets.coco_files` says.
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


def skeleton(metainfo: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Get the names of the keypoints, and the pairs that are joined, of a data set's metadata.

    Raises:
        ValueError: they name no keypoints.
    """
    if 'keypoint_id2name' not in metainfo:
        raise ValueError(f'not a pose data set: its metadata {dict(metainfo)} name no keypoints')
    names = metainfo['keypoint_id2name']
    links = tuple((int(a), int(b)) for a, b in metainfo['skeleton_links'])
    return tuple(names[k] for k in range(len(names))), links


def _read(path: Path) -> Persons:
    content = read_json(path, 'path')
    name = f'path={str(path)!r}'
    if isinstance(content, dict) and {'annotations', 'categories'} <= set(content):
        return _coco_persons(content, name)
    if isinstance(content, list) and content:
        people = Entries(content, name)
        if {'joints', 'joints_vis'} <= set(people[0]):
            return _mpii_persons(people)
    raise ValueError(f'{path} is neither of COCO format nor of the MPII format of MMPose')


def _coco_persons(content: dict, name: str) -> Persons:
    coco = check_coco(content, name, ['categories', 'annotations'])
    names = {
        category['id']: tuple(category['keypoints'])
        for category in coco.categories
        if category.get('keypoints')
    }
    kinds = set(names.values())
    if len(kinds) != 1:
        raise ValueError(
            f'{name}: its categories must name the keypoints, and all the same, but there are '
            f'{len(kinds)} lists of names'
        )
    kind = next(iter(kinds))
    known = np.array([row['category_id'] in names for row in coco.annotations], bool)
    people = _some(coco.annotations, known)
    singles = _some(people, ~people.flags('iscrowd'))
    points = _numbers_or_zeros(singles, 'keypoints', 3 * len(kind)).reshape(-1, len(kind), 3)
    return Persons(
        names=kind, keypoints=points[..., :2], labelled=points[..., 2] > 0,
        boxes=_numbers_or_zeros(singles, 'bbox', 4), crowds=len(people) - len(singles),
    )  # fmt: skip


def _some(entries: Entries, fits: np.ndarray) -> Entries:
    return entries.take(np.flatnonzero(fits).tolist())


def _numbers_or_zeros(entries: Entries, key: str, length: int) -> np.ndarray:
    """Numbers (N, length), 0 where an entry has none, or null, or an empty list."""
    given = np.array([row.get(key) not in (None, []) for row in entries], bool)
    numbers = np.zeros((len(entries), length))
    numbers[given] = _some(entries, given).numbers(key, length)
    return numbers


def _mpii_persons(people: Entries) -> Persons:
    names, links = skeleton(parse_metainfo({'from_file': MPII}))
    centers = people.numbers('center', 2)
    scales = people.numbers('scale')[:, None]
    sides = np.repeat(MPII_PIXELS * scales, 2, axis=1)
    middles = centers + np.array([0, MPII_SHIFT]) * scales
    return Persons(
        names=names,
        keypoints=people.numbers('joints', len(names), 2),
        labelled=people.numbers('joints_vis', len(names)) > 0,
        boxes=np.concatenate([middles - sides / 2, sides], axis=1),
        links=links,
    )


# --- as data sets of MMPose load them; CSV and LSP ----------------------------------------------


def read_poses(
    path: str | Path, dataset: str = 'MpiiDataset', metainfo: str | None = None
) -> Persons:
    """Read poses from a file.

    Args:
        path: by its ending: ``.py``, a config, also as ``CODEBASE::PATH``, whose
            ``train_dataloader.dataset`` is read; ``.json``, an annotation file of the data set;
            ``.csv``, a row for each pose with a name and then x, y of each keypoint, empty or
            ``nan`` where it is not labelled; ``.mat``, the joints of LSP or LSP extended.
        dataset: registered name of the data set that reads a JSON, or whose metadata name the
            keypoints of a CSV. The others name their own.
        metainfo: file of a keypoint set, as data sets take it in ``from_file``, in place of that of
            the data set, also of a config's; not for LSP.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another ending; a file that does not fit the keypoints.
    """
    own = parse_metainfo({'from_file': metainfo}) if metainfo else None
    change = {'metainfo': {'from_file': metainfo}} if metainfo else {}
    if str(path).endswith('.py'):  # mmpose::… is a config too
        data = required(read_config(str(path), argument='path'), 'train_dataloader.dataset')
        return poses_of(build_dataset(_changed(data, change)))
    path = existing_file(path, 'path')
    if path.suffix == '.json':
        return _load_json(path, dataset, change)
    if path.suffix == '.mat':
        if metainfo:
            raise ValueError(f'metainfo={metainfo!r}: the keypoints of a .mat are those of LSP')
        return _read_mat(path)
    if path.suffix != '.csv':
        raise ValueError(f'path={str(path)!r} must end in .py, .json, .csv or .mat')
    keypoints = _read_csv(path)
    names, links = skeleton(own or _metainfo(dataset))
    if keypoints.shape[1] != len(names):
        raise ValueError(
            f'{path} has {keypoints.shape[1]} keypoints, but '
            f'{f"metainfo={metainfo!r}" if metainfo else f"dataset={dataset!r}"} has {len(names)}'
        )
    return persons_of_points(keypoints, names, links)


def _changed(data: dict, change: dict) -> dict:
    """The config of a data set, in which those that read files have other arguments."""
    if 'datasets' in data:
        return {**data, 'datasets': [_changed(part, change) for part in data['datasets']]}
    if 'dataset' in data:
        return {**data, 'dataset': _changed(data['dataset'], change)}
    return {**data, **change}


def poses_of(dataset: 'BaseDataset') -> Persons:
    """Take the labelled keypoints and the boxes of a pose data set, top-down or bottom-up.

    Raises:
        ValueError: a data set without keypoints, or an empty one.
    """
    names, links = skeleton(dataset.metainfo)
    keypoints, labelled, boxes = [], [], []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        keypoints.append(np.array(info['keypoints'], float))  # (persons, K, 2)
        labelled.append(visibility(info['keypoints_visible']) > 0)
        corners = np.asarray(info['bbox'], float).reshape(-1, 4)
        boxes.append(np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]))
    if not keypoints:
        raise ValueError(f'{type(dataset).__name__} is empty')
    return Persons(
        names, np.concatenate(keypoints), np.concatenate(labelled), np.concatenate(boxes),
        links=links,
    )  # fmt: skip


def _load_json(path: Path, dataset: str, change: dict) -> Persons:
    _metainfo(dataset)  # refuses an unknown name
    try:
        return poses_of(
            build_dataset(dict(type=dataset, ann_file=str(path.resolve()), pipeline=[], **change))
        )
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f'path={str(path)!r} is not what dataset={dataset!r} reads '
            f'({type(error).__name__}: {error}); of COCO format take dataset=CocoDataset, or the '
            'data set of your keypoints'
        ) from error


def _metainfo(dataset: str) -> dict:
    from mmpose.registry import DATASETS

    cls = DATASETS.get(dataset)
    if not hasattr(cls, 'METAINFO'):
        raise ValueError(f'dataset={dataset!r} is not the registered name of a pose data set')
    return parse_metainfo(cls.METAINFO)


def _read_csv(path: Path) -> np.ndarray:
    poses: list[list[float]] = []
    for number, row in enumerate(csv.reader(StringIO(read_text(path, 'path'), newline='')), 1):
        if not row:  # a blank line
            continue
        try:
            poses.append([float(cell or 'nan') for cell in row[1:]])
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: {error}') from error
        if len(row) % 2 == 0 or len(poses[-1]) != len(poses[0]):
            raise ValueError(
                f'{path}, line {number}: a name and an even number of numbers, as many as in '
                f'line 1, are expected, got {len(row)} cells'
            )
    if not poses:
        raise ValueError(f'{path} has no poses')
    keypoints = np.array(poses).reshape(len(poses), -1, 2)
    return np.where(np.isnan(keypoints).any(axis=-1, keepdims=True), np.nan, keypoints)


def _read_mat(path: Path) -> Persons:
    from hsjp_mm.datasets.lsp import LSPDataset, read_joints

    joints, extended = read_joints(str(path))
    labelled = joints[..., 2:] > 0 if extended else True
    points = np.where(labelled, joints[..., :2].astype(float), np.nan)
    return persons_of_points(points, *skeleton(parse_metainfo(LSPDataset.METAINFO)))
