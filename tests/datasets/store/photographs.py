"""Photographs with boxes and keypoints of persons, for the tests of a store."""

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from hsjp_mm.datasets import PersonCropDataset
from hsjp_mm.datasets.image_files import ORIENTATION
from hsjp_mm.datasets.store import Options, write_store

SIZE = (203, 152)  # no multiple of 16
BOXES = [[60, 40, 40, 70], [-10, 90, 60, 62], [170, 20, 33, 40], [150, 100, 12, 9]]
"""Inside; over the corner; at the right; small."""
CROP = (48, 64)
STEPS = (
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', shift_prob=1.0, rotate_prob=1.0),
)
LAST = (dict(type='hsjp_mm.InputAffine', input_size=CROP), dict(type='PackPoseInputs'))


def blobs(seed: int) -> np.ndarray:
    rough = np.random.RandomState(seed).randint(0, 256, (7, 9, 3), dtype=np.uint8)
    return cv2.resize(rough, SIZE, interpolation=cv2.INTER_CUBIC)


def write_photographs(folder: Path, count: int = 4, orientation: int = 1, paint=blobs) -> Path:
    """Write JPEG files and boxes.json; the boxes are in the picture as it is stored."""
    folder.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    images, annotations = [], []
    for i in range(count):
        name = f'{i}.jpg'
        picture = Image.fromarray(paint(i))
        picture.save(folder / name, exif=exif, quality=97, subsampling=0)
        images.append({'id': i, 'file_name': name, 'width': SIZE[0], 'height': SIZE[1]})
        annotations += [
            {'id': 10 * i + j, 'image_id': i, 'category_id': 1, 'bbox': box}
            for j, box in enumerate(BOXES)
        ]
    coco = {'images': images, 'annotations': annotations}
    path = folder / 'boxes.json'
    path.write_text(json.dumps({**coco, 'categories': [{'id': 1, 'name': 'person'}]}))
    return folder


def open_crops(folder: Path, steps=STEPS, last=LAST, loader='LoadImage', **options):
    first = [dict(type=loader), dict(type='GetBBoxCenterScale')]
    return PersonCropDataset(
        **{
            'ann_file': 'boxes.json', 'data_root': str(folder), 'data_prefix': dict(img=''),
            'pipeline': [*first, *steps, *last], **options,
        }
    )  # fmt: skip


def store_crops(folder: Path, out: Path, crops=None, workers: int = 1, **options) -> dict:
    options = {'shard_size': 5, **options}
    return write_store(crops or open_crops(folder), out, Options(**options), workers)
