"""What both kinds of rendered people, figures and bodies, have in common as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hsjp_mm.datasets.toy.pose import KEYPOINT_NAMES

SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip
FIRST_IMAGE_ID = {'train': 1, 'val': 1_000_001}  # no id stands in both splits
JPEG_QUALITY = 92
LEAST_SIDE = 64
"""Pixels of an image."""


def require_writable(folder: Path, image_size: tuple[int, int], **numbers: int) -> None:
    """Check where to write, and numbers by their names.

    Raises:
        FileExistsError: If the folder holds anything.
        ValueError: If a number is below 1, the seed below 0, or a side too small.
    """
    least = {**dict.fromkeys(numbers, 1), 'seed': 0, 'min(image_size)': LEAST_SIDE}
    for name, value in {**numbers, 'min(image_size)': min(image_size)}.items():
        if value < least[name]:
            raise ValueError(f'{name} must be at least {least[name]}, got {value}')
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f'folder={str(folder)!r} must be new or empty, but holds files')


def coco_data(
    description: str, images: Sequence[Mapping], annotations: Sequence[Mapping], **category: Any
) -> dict[str, Any]:
    """The content of an annotation file; ``category`` are further fields of that of persons."""
    person = dict(
        id=1, name='person', supercategory='person', keypoints=KEYPOINT_NAMES, skeleton=SKELETON
    )
    return dict(
        info=dict(description=description, version='1.0'),
        licenses=[],
        images=images,
        annotations=annotations,
        categories=[{**person, **category}],
    )
