"""COCO's segmentations, polygons or run lengths, and the masks that they say."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

FEWEST = 6
"""Numbers of a polygon that covers anything; of four pycocotools would make a box."""


def polygons_of(segmentation: Any) -> list:
    """The polygons of a segmentation that have three corners or more; none of run lengths."""
    if not isinstance(segmentation, list | tuple):
        return []
    return [polygon for polygon in segmentation if len(polygon) >= FEWEST]


def has_mask(segmentation: Any) -> bool:
    """Whether a segmentation says a mask, and is not missing or without a polygon."""
    return isinstance(segmentation, dict) or bool(polygons_of(segmentation))


def says(annotation: dict, key: str) -> bool:
    """Whether an annotation says anything under a key; under ``segmentation``, a mask."""
    value = annotation.get(key)
    return has_mask(value) if key == 'segmentation' else bool(value)


def decode(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode a segmentation.

    Args:
        segmentation: polygons, run lengths as a list of numbers or packed; None and [] say nothing.
        size: height and width of the image.

    Returns:
        (height, width) uint8, 0 and 1.
    """
    if isinstance(segmentation, dict):
        plain = isinstance(segmentation['counts'], list)
        runs = coco_mask.frPyObjects(segmentation, *size) if plain else segmentation
        return coco_mask.decode(runs)
    polygons = polygons_of(segmentation)
    if not polygons:
        return np.zeros(size, np.uint8)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *size)))
