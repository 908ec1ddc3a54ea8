"""Which images or persons a subset of labels holds, and the file of one.

Needs no torch; :class:`~hsjp_mm.datasets.LabelSubset` makes the same choice for a data set.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsjp_mm.datasets.coco_files import CocoFile, fill_empty_keypoints, read_coco
from hsjp_mm.datasets.segmentations import has_mask
from hsjp_mm.datasets.stock_files import require_stock
from hsjp_mm.ops.subsets import subset_order
from hsjp_mm.utils.files import file_sha256, write_json, write_text
from hsjp_mm.utils.numbers import require_whole
from hsjp_mm.version import __version__

UNITS = {'images': 'img_id', 'persons': 'id'}
"""What a subset is counted in, and the key of its id in MMPose's instances."""


@dataclass(frozen=True)
class Choice:
    """What a subset holds.

    Attributes:
        images: ids of the images that stay.
        persons: ids of the persons that keep their labels.
        dropped: ids of the labelled persons that do not, in whatever image.
        labelled_images: number of images with a labelled person, before the choice.
    """

    images: Collection[int]
    persons: Collection[int]
    dropped: Collection[int]
    labelled_images: int

    def __str__(self) -> str:
        labelled = len(self.persons) + len(self.dropped)
        return (
            f'{len(self.images)} of {self.labelled_images} images with labelled persons, '
            f'{len(self.persons)} of {labelled} labelled persons'
        )


def choose(
    labelled: Sequence[Mapping[str, Any]],
    fraction: float | None,
    number: int | None,
    by: str,
    seed: int,
    ann_file: str,
) -> Choice:
    """Choose among the labelled images or persons.

    Args:
        labelled: the labelled persons, with their ``id`` and ``img_id``.
        fraction, number, by, seed: as in :class:`~hsjp_mm.datasets.LabelSubset`.
        ann_file: where they are from, for messages.

    Raises:
        ValueError: an argument outside its range, or nothing chosen.
    """
    require_choice(fraction, number, by)
    key = UNITS[by]
    units = list({person[key] for person in labelled})
    taken = take(units, fraction, number, by, seed, f'the labelled {by} of {ann_file}')
    persons = {person['id'] for person in labelled if person[key] in taken}
    return Choice(
        images={person['img_id'] for person in labelled if person[key] in taken},
        persons=persons,
        dropped={person['id'] for person in labelled} - persons,
        labelled_images=len({person['img_id'] for person in labelled}),
    )


def take(
    units: list[Any],
    fraction: float | None,
    number: int | None,
    by: str,
    seed: int,
    all_of_them: str,
) -> set[Any]:
    """Take some of the images or persons, each of which is given once.

    Raises:
        ValueError: none or more than there are.
    """
    count = round(fraction * len(units)) if fraction is not None else number or 0
    if not 1 <= count <= len(units):
        given = f'number={number}' if fraction is None else f'fraction={fraction}'
        raise ValueError(
            f'{given} makes {count} {by}; from 1 to {len(units)} can be chosen, {all_of_them}'
        )
    return {units[index] for index in subset_order(units, seed)[:count]}


def require_choice(fraction: float | None, number: int | None, by: str) -> None:
    """Refuse arguments of a choice that are wrong for any data.

    Raises:
        ValueError: an argument outside its range; not exactly one of ``fraction`` and ``number``.
    """
    if by not in UNITS:
        raise ValueError(f'by={by!r} must be one of {tuple(UNITS)}')
    if (fraction is None) == (number is None):
        raise ValueError(f'give one of fraction={fraction} and number={number}')
    if fraction is not None and not 0 < fraction <= 1:
        raise ValueError(f'fraction={fraction} must be in (0, 1]')
    if number is not None:
        require_whole('number', number)


def without_keypoints(annotation: dict) -> dict:
    """Copy a COCO annotation as one without keypoints; box, area and segmentation stay.

    Those of feet, face and hands in COCO-WholeBody go too.
    """
    points = {
        name: [0] * len(values)
        for name, values in annotation.items()
        if name == 'keypoints' or name.endswith('_kpts')
    }
    flags = {name: False for name in annotation if name.endswith('_valid')}
    return {**annotation, **points, **flags, 'num_keypoints': 0}


def write_subset(
    ann_file: str | Path,
    out: str | Path,
    fraction: float | None = None,
    number: int | None = None,
    by: str = 'images',
    seed: int = 0,
) -> dict:
    """Write the COCO JSON of a subset, and beside it a manifest.

    A stock data set loads from it what :class:`LabelSubset` makes of the whole file. The kept
    images keep all their annotations, also those of crowds, of persons without keypoints, and of
    other categories; by persons, the labelled persons that were not chosen stay as persons without
    keypoints. Keypoints that are empty or null, which stop a stock data set, are written as zeros.

    Args:
        ann_file: COCO JSON with keypoints.
        out: JSON file to write; the manifest is named like it, with ``.manifest.json``.
        fraction, number, by, seed: as in :class:`LabelSubset`.

    Returns:
        The manifest: names and SHA-256 of both files, the choice, and counts.

    Raises:
        FileNotFoundError: ``ann_file`` is missing.
        ValueError: it is no COCO JSON, or ``out``; an argument outside its range; nothing chosen.
    """
    require_choice(fraction, number, by)
    source, out = Path(ann_file), Path(out)
    whole = read_coco(source)
    fill_empty_keypoints(whole)
    coco = whole.content
    if out.resolve() == source.resolve():
        raise ValueError(f'out={str(out)!r} is the ann_file itself')
    chosen = choose(labelled_persons(whole), fraction, number, by, seed, str(source))
    subset = _cut(coco, chosen)
    text = json.dumps(subset)
    write_text(out, text)
    dropped = [a for a in subset['annotations'] if a['id'] in chosen.dropped]
    manifest = {
        'file': out.name,
        'sha256': hashlib.sha256(text.encode()).hexdigest(),
        'source': {
            'file': source.name,
            'sha256': file_sha256(source),
            'images': len(coco['images']),
            'annotations': len(coco['annotations']),
            'labelled_images': chosen.labelled_images,
            'labelled_persons': len(chosen.persons) + len(chosen.dropped),
        },
        'by': by,
        'fraction': fraction,
        'number': number,
        'seed': seed,
        'images': len(subset['images']),
        'annotations': len(subset['annotations']),
        'labelled_persons': len(chosen.persons),
        'unlabelled_here': len(dropped),
        'unlabelled_here_without_segmentation': sum(
            not has_mask(a.get('segmentation')) for a in dropped
        ),
        'hsjp_mm': __version__,
    }
    write_json(manifest_path(out), manifest)
    return manifest


def labelled_persons(coco: CocoFile) -> list[dict[str, Any]]:
    """List the persons that stock data sets train on, by ``id`` and ``img_id``.

    The rules are those of MMPose's BaseCocoStyleDataset, which imports torch: a person has a box
    and keypoints, is no crowd, has a labelled keypoint by ``num_keypoints`` if there is one, the
    box has an area inside the picture, and some coordinate of its keypoints is above 0.

    Args:
        coco: Without empty keypoints.

    Raises:
        ValueError: as :func:`write_subset`.
    """
    require_stock(coco)
    sizes = {image['id']: (image['width'], image['height']) for image in coco.images}
    return [
        {'id': row['id'], 'img_id': row['image_id']}
        for row in coco.annotations
        if row['image_id'] in sizes and is_trained_on(row, sizes[row['image_id']])
    ]


def is_trained_on(person: Mapping[str, Any], size: tuple[float, float]) -> bool:
    """Whether stock data sets train on a person in an image of a (width, height)."""
    if 'bbox' not in person or 'keypoints' not in person or person.get('iscrowd', 0):
        return False
    points = np.asarray(person['keypoints'], np.float32).reshape(-1, 3)[:, :2]
    number = person.get('num_keypoints', np.count_nonzero(points.max(axis=1)))
    start = np.array(person['bbox'][:2], float)
    corners = np.stack([start, start + person['bbox'][2:]])
    clipped = np.clip(corners, 0, np.array(size) - 1).astype(np.float32)
    return bool(number != 0 and (clipped[1] > clipped[0]).all() and points.max(initial=0) > 0)


def manifest_path(out: Path) -> Path:
    """Where the manifest of a subset is."""
    return out.with_suffix('.manifest.json')


def _cut(coco: dict, chosen: Choice) -> dict:
    """The part of a COCO dictionary that a choice keeps."""
    return {
        **coco,
        'images': [image for image in coco['images'] if image['id'] in chosen.images],
        'annotations': [
            without_keypoints(person) if person['id'] in chosen.dropped else person
            for person in coco['annotations']
            if person['image_id'] in chosen.images
        ],
    }
