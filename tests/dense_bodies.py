"""Painted bodies with dense labels: DensePose-COCO's official layout, and the plain one.

A body is a few rectangles in the 256×256 frame of its box. Its picture has one gray value a kind of
part, left and right alike, so that only the place tells them apart.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle

from hsjp_mm.ops.part_labels import DENSEPOSE_PARTS

# part: left, top, right, bottom in the frame; the person faces us, so its left is on the right
BODY = {
    'torso': (88, 64, 168, 152),
    'right_upper_arm': (32, 64, 88, 112),
    'left_upper_arm': (168, 64, 224, 112),
    'right_upper_leg': (88, 152, 128, 248),
    'left_upper_leg': (128, 152, 168, 248),
    'head': (96, 8, 160, 64),
}
CHART_OF = {
    'torso': 2, 'right_upper_arm': 16, 'left_upper_arm': 15, 'right_upper_leg': 7,
    'left_upper_leg': 8, 'head': 24,
}  # fmt: skip
PLAIN_PARTS = tuple(BODY)
GRAY = {'torso': 90, 'arm': 130, 'leg': 170, 'head': 210}
"""By the end of a part's name."""


def gray_of(name: str) -> int:
    return GRAY[name.rpartition('_')[2]]


def frame_labels(names: tuple[str, ...]) -> np.ndarray:
    """The body's labels (256, 256) by the order of the names."""
    labels = np.zeros((256, 256), np.uint8)
    for name, (left, top, right, bottom) in BODY.items():
        labels[top:bottom, left:right] = names.index(name) + 1
    return labels


def image_labels(box: tuple, shape: tuple[int, int], names: tuple[str, ...]) -> np.ndarray:
    """The labels (H, W) in the image: those of the frame's pixel under each pixel's middle."""
    left, top, width, height = box
    columns = np.floor((np.arange(shape[1]) + 0.5 - left) / width * 256).astype(int)
    rows = np.floor((np.arange(shape[0]) + 0.5 - top) / height * 256).astype(int)
    padded = np.pad(frame_labels(names), 1)
    return padded[np.ix_(np.clip(rows + 1, 0, 257), np.clip(columns + 1, 0, 257))]


def encode(mask: np.ndarray) -> dict:
    """The RLE of a mask, as JSON holds it."""
    found = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': list(found['size']), 'counts': found['counts'].decode()}


def densepose(box: tuple, rng: np.random.RandomState) -> dict:
    """What DensePose adds to the annotation of a person: masks, and three points a part."""
    labels = frame_labels(DENSEPOSE_PARTS)
    masks = [encode(labels == i + 1) if (labels == i + 1).any() else [] for i in range(14)]
    points = []
    for name, (left, top, right, bottom) in BODY.items():
        for u, v in rng.uniform(0.2, 0.8, (3, 2)):
            x, y = left + u * (right - left), top + v * (bottom - top)
            points.append((float(x), float(y), float(CHART_OF[name]), float(u), float(v)))
    keys = ('dp_x', 'dp_y', 'dp_I', 'dp_U', 'dp_V')
    return {'dp_masks': masks, **dict(zip(keys, map(list, zip(*points, strict=True)), strict=True))}


def write_dense_bodies(folder: Path, number: int = 4, seed: int = 0) -> Path:
    """Write images of one person each, ``densepose.json`` and ``parts.json``.

    The person with id 100 stands in the first image too, and has no labels. Images are 120×90
    pixels or 90×120 in turns.
    """
    rng = np.random.RandomState(seed)
    (folder / 'images').mkdir(parents=True, exist_ok=True)
    images, official, plain = [], [], []
    for i in range(number):
        height, width = (90, 120) if i % 2 == 0 else (120, 90)
        box = [*rng.uniform(4, 14, 2), *rng.uniform(52, 70, 2)]
        labels = image_labels(box, (height, width), PLAIN_PARTS)
        grays = np.array([30, *map(gray_of, PLAIN_PARTS)], np.uint8)
        picture = np.repeat(grays[labels][..., None], 3, axis=2)
        cv2.imwrite(str(folder / f'images/{i}.png'), picture)
        images.append({'id': i, 'file_name': f'{i}.png', 'width': width, 'height': height})
        person = {
            'id': i, 'image_id': i, 'category_id': 1, 'bbox': box, 'iscrowd': 0,
            'area': box[2] * box[3],
        }  # fmt: skip
        official.append({**person, **densepose(box, rng)})
        masks = [labels == k + 1 for k in range(len(PLAIN_PARTS))]
        plain.append({**person, 'part_masks': [encode(m) if m.any() else None for m in masks]})
    nobody = {'id': 100, 'image_id': 0, 'category_id': 1, 'bbox': [0, 0, 40, 40], 'iscrowd': 0}
    category = {'id': 1, 'name': 'person', 'supercategory': 'person'}
    for name, annotations, more in (
        ('densepose', official, {}),
        ('parts', plain, {'parts': list(PLAIN_PARTS)}),
    ):
        content = {
            'images': images,
            'annotations': [*annotations, nobody],
            'categories': [{**category, **more}],
        }
        (folder / f'{name}.json').write_text(json.dumps(content))
    return folder
