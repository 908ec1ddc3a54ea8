"""What each part of the package would do with a COCO-style file and its images, told beforehand.

Everything is read once, by the readers that training uses.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hsjp_mm.datasets.coco_files import CocoFile, Id, fill_empty_keypoints, read_coco
from hsjp_mm.datasets.image_files import (
    UnreadableImageError,
    find_images,
    local_name,
    read_image,
    stored_size,
    turned_size,
)
from hsjp_mm.datasets.instance_cache import Kept
from hsjp_mm.datasets.person_crops import PersonCropDataset
from hsjp_mm.datasets.stock_files import require_stock
from hsjp_mm.datasets.subset_files import is_trained_on
from hsjp_mm.utils.files import existing_folder
from hsjp_mm.utils.progress import track

CROPS = 'Pretraining on boxes (hsjp_mm.PersonCropDataset)'
POSE = 'Pose estimation (MMPose data sets and CocoMetric)'
"""Titles of sections."""
NAMED = 5
"""Examples that a line has at most."""
NEEDED = {
    'iscrowd': "MMPose's CocoMetric ends in a KeyError; write 0",
    'area': "MMPose's CocoMetric ends in a KeyError; write it, or take use_area=False",
    'num_keypoints': "MMPose's CocoMetric ends in a KeyError; count those with visibility above 0",
    'segmentation': 'bottom-up training cannot mask persons without keypoints and takes them for '
    'background',
}
"""Keys of an annotation that are often missing, and what comes of it."""

EMPTY = (
    'they count as unlabelled here, but [] stops bottom-up training by MMPose, and null all of it; '
    'write zeros'
)
DAMAGED = (
    "cannot be read, or are damaged: pretraining takes others in their place, MMPose's data sets "
    'stop at the first that cannot be read and do not see damage'
)


@dataclass
class DataCheck:
    """What :func:`check_data` found.

    Attributes:
        sections: lines of text by title.
        problems: lines about what would fail, or give something else than is meant.
        paths: of the images that can be read, by their id.
        crops: ids of the annotations whose boxes pretraining takes.
        poses: ids of the persons that MMPose trains on.
        boxes: of each image, by its id: the annotations' boxes (left, top, width, height), their
            keypoints (K, 3), and what takes them: 'pose' (and pretraining), 'crops' or 'nothing'.
        uses: what may take boxes.
    """

    sections: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)
    paths: dict[Id, Path] = field(default_factory=dict)
    crops: set[Id] = field(default_factory=set)
    poses: set[Id] = field(default_factory=set)
    boxes: dict[Id, list[tuple[list[float], np.ndarray, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    uses: tuple[str, ...] = ('pose', 'crops', 'nothing')

    def note(self, section: str, what: str, names: list, total: int | None = None) -> None:
        """Add a line with a count and examples, if there are any; a problem as well."""
        if names:
            some = ', '.join(map(str, names[:NAMED])) + (', …' if len(names) > NAMED else '')
            of = f' of {total}' if total else ''
            self.problems.append(f'{len(names)}{of} {what}: {some}')
            self.sections[section].append(self.problems[-1])


def check_data(ann_file: str | Path, folder: str | Path) -> DataCheck:
    """Read annotations and images once, and say what would become of them.

    Args:
        ann_file: COCO-style, with keypoints or without.
        folder: of the images.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: a file that no part of the package reads, see
            :mod:`hsjp_mm.datasets.coco_files`.
    """
    existing_folder(folder, 'folder')
    coco = read_coco(ann_file)
    found = DataCheck()
    _check_images(found, coco, Path(folder))
    if found.paths:
        _check_crops(found, coco, ann_file, folder)
    _check_keypoints(found, coco)
    _collect_boxes(found, coco)
    return found


# --- images -------------------------------------------------------------------------------------


def _check_images(found: DataCheck, coco: CocoFile, folder: Path) -> None:
    section = 'Images'
    names = coco.images.texts('file_name')
    bad: dict[str, list[str]] = defaultdict(list)
    contents: dict[str, list[str]] = defaultdict(list)
    turned = Counter[str]()
    rows = list(zip(coco.images, names, coco.sizes(), strict=True))
    for image, name, size in track(rows, 'images'):
        path = folder / local_name(folder, name)
        if not path.is_file():
            bad['do not exist'].append(name)
            continue
        try:
            read_image(path)
            stored, orientation = stored_size(path)
        except UnreadableImageError:
            bad[DAMAGED].append(name)
            continue
        found.paths[image['id']] = path
        contents[hashlib.sha1(path.read_bytes()).hexdigest()].append(name)
        upright = turned_size(stored, orientation)
        if np.isnan(size).any():
            bad['have no width and height in the file, which MMPose needs'].append(name)
        elif tuple(size) == upright:
            turned['upright, as they are read'] += orientation > 1
        elif tuple(size) == stored:
            turned["as they are stored; boxes of pretraining are turned, MMPose's are not"] += 1
        else:
            sizes = f'{name} ({size[0]:g}x{size[1]:g}, is {upright[0]}x{upright[1]})'
            bad['have another size than the file says; pretraining skips them'].append(sizes)
    lines = found.sections[section]
    lines.append(f'{len(found.paths)} of {len(names)} can be read')
    for what, some in bad.items():
        found.note(section, what, some, len(names))
    lines += [
        f'{count} are turned by their EXIF orientation and annotated {how}'
        for how, count in turned.items()
        if count
    ]
    twins = [' = '.join(same) for same in contents.values() if len(same) > 1]
    found.note(section, 'photographs are there more than once', twins)
    listed = {Path(local_name(folder, name)).as_posix() for name in names}
    others = [name for name in find_images(folder) if Path(name).as_posix() not in listed]
    if others:
        lines.append(f'{len(others)} images of the folder are not in the file, and not used')
    annotated = set(coco.annotations.ids('image_id'))
    empty = sum(image['id'] not in annotated for image in coco.images)
    if empty:
        lines.append(f'{empty} have no annotation')


# --- pretraining --------------------------------------------------------------------------------


class _Crops(PersonCropDataset):
    """Crops of a file that is in memory already."""

    def __init__(self, content: dict, *given, **options):
        self._content = content
        super().__init__(*given, **options)

    def _read_file(self) -> Kept:
        return self._read_boxes(self._content)


def _check_crops(found: DataCheck, coco: CocoFile, ann_file, folder) -> None:
    """What :class:`PersonCropDataset` takes and leaves out of each category."""
    images = {image['id']: image for image in coco.images}
    rows = defaultdict(list)
    for row in coco.annotations:
        rows[row['category_id']].append(row)
    for name in coco.categories.texts('name'):
        boxes = [row for key in coco.category_ids([name]) for row in rows[key]]
        if not boxes:  # of many categories most may be empty, and there may be many images
            found.sections[CROPS].append(f'category_names=[{name!r}]: no box')
            found.problems.append(found.sections[CROPS][-1])
            continue
        # of many categories each has few images
        ids = dict.fromkeys(row['image_id'] for row in boxes)
        some = [images[key] for key in ids if key in images]
        content = {**coco.content, 'annotations': boxes, 'images': some}
        _check_category(found, name, content, ann_file, folder)


def _check_category(found: DataCheck, category: str, content: dict, ann_file, folder) -> None:
    lines = found.sections[CROPS]
    dataset = _attempt(
        found, lines, category,
        lambda: _Crops(
            content, str(Path(ann_file).resolve()), category_names=[category],
            data_prefix=dict(img=str(Path(folder).resolve())), pipeline=[],
        ),
    )  # fmt: skip
    if dataset is None:
        return
    left_out = ', '.join(f'{count} {why}' for why, count in dataset.left_out.items() if count)
    lines.append(
        f'category_names=[{category!r}]: {len(dataset)} boxes are used'
        + (f'; left out: {left_out}' if left_out else '')
    )
    found.crops |= set(dataset.data_list.ids())


def _attempt(found: DataCheck, lines: list[str], what: str, act: Callable):
    try:
        return act()
    except (ValueError, FileNotFoundError) as error:
        lines.append(f'{what}: fails: {error}')
        found.problems.append(lines[-1])
        return None


# --- pose ---------------------------------------------------------------------------------------


def _check_keypoints(found: DataCheck, coco: CocoFile) -> None:
    """What MMPose's data sets, its CocoMetric, LabelSubset and the like make of the persons."""
    title = POSE
    lines = found.sections[title]
    rows = list(coco.annotations)
    with_key = [row for row in rows if row.get('keypoints')]
    if not with_key:
        lines.append('no annotation has keypoints: of use for pretraining alone')
        return
    empty = [row.get('id') for row in rows if row.get('keypoints', 0) in (None, [])]
    found.note(title, f'annotations have empty keypoints ({EMPTY}), ids', empty, len(rows))
    fill_empty_keypoints(coco)
    _attempt(found, lines, 'training', lambda: require_stock(coco))
    lengths = Counter(_length(row['keypoints']) for row in with_key)
    usual = lengths.most_common(1)[0][0]
    named = {row['id']: row['keypoints'] for row in coco.categories if row.get('keypoints')}
    wrong = [row.get('id') for row in with_key if _length(row['keypoints']) != usual]
    found.note(title, f'annotations have not {usual} numbers as keypoints, ids', wrong, len(rows))
    lines.append(f'{usual // 3} keypoints: x, y and visibility of each')
    for key, names in named.items():
        if 3 * len(names) != usual:
            found.note(
                title, f'keypoints are named by category {key}, but {usual // 3} given', names
            )
    if not named:
        lines.append('no category names its keypoints; `hsjp-mm priors` needs the names')
    sizes = _known_sizes(coco)
    found.poses = {row['id'] for row in with_key if _is_labelled(row, sizes)}
    crowds = sum(bool(row.get('iscrowd')) for row in with_key)
    lines.append(
        f'{len(found.poses)} persons have labelled keypoints and a box, and are used; not used are '
        f'{len(with_key) - len(found.poses) - crowds} without one of them or with a box without an '
        'area in the image, '
        f'{len(rows) - len(with_key)} annotations without any keypoints and {crowds} crowds'
    )
    for key, consequence in NEEDED.items():
        missing = [row.get('id') for row in rows if key not in row]
        found.note(title, f'annotations have no {key!r} ({consequence}), ids', missing, len(rows))
    boxless = [row.get('id') for row in with_key if not row.get('bbox')]
    found.note(title, 'annotations with keypoints have no box and are not used, ids', boxless)


def _length(keypoints) -> int:
    """How many numbers they are; -1 if they are something else."""
    if not isinstance(keypoints, list) or not all(isinstance(n, int | float) for n in keypoints):
        return -1
    return len(keypoints)


def _known_sizes(coco: CocoFile) -> dict[Any, tuple[float, float]]:
    """Of images by their ids; without an end where the file does not say, which MMPose refuses."""
    sizes = np.nan_to_num(coco.sizes(), nan=np.inf).tolist()
    return {
        row['id']: (width, height) for row, (width, height) in zip(coco.images, sizes, strict=True)
    }


def _is_labelled(row: dict, sizes: Mapping[Any, tuple[float, float]]) -> bool:
    """Whether MMPose trains on a person; not on one whose values are not of the form."""
    length = _length(row.get('keypoints'))
    return (
        length > 0
        and length % 3 == 0
        and _length(row.get('bbox')) == 4
        and row.get('image_id') in sizes
        and is_trained_on(row, sizes[row['image_id']])
    )


def _collect_boxes(found: DataCheck, coco: CocoFile) -> None:
    odd = []
    for row in coco.annotations:
        if _length(row.get('bbox')) != 4:
            continue
        key = row['id']
        use = 'pose' if key in found.poses else 'crops' if key in found.crops else 'nothing'
        points = row.get('keypoints') or []
        count = _length(points) if _length(points) % 3 == 0 else 0
        array, box = _finite(points[:count] if count > 0 else []), _finite(row['bbox'])
        if array is None or box is None:
            odd.append(row.get('id'))
            continue
        found.boxes[row['image_id']].append((box.tolist(), array.reshape(-1, 3), use))
    found.note(POSE, 'annotations have a box or keypoints that are no finite numbers, ids', odd)


def _finite(values: list) -> np.ndarray | None:
    try:
        array = np.array(values, float)
    except (TypeError, ValueError):
        return None
    return array if np.isfinite(array).all() else None
