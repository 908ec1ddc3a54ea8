"""Labels of body parts: names, mirror images, and how well two maps of labels agree.

Letters: N parts; B maps, h and w their height and width. Label 0 is the background, label i + 1 the
part of index i, :data:`IGNORED` what nobody has labelled.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

IGNORED = 255
"""The label of a pixel that counts nowhere, such as one beside the image."""
DENSEPOSE_PARTS = (
    'torso', 'right_hand', 'left_hand', 'left_foot', 'right_foot', 'right_upper_leg',
    'left_upper_leg', 'right_lower_leg', 'left_lower_leg', 'left_upper_arm', 'right_upper_arm',
    'left_lower_arm', 'right_lower_arm', 'head',
)  # fmt: skip
"""The masks of DensePose-COCO, in the order of ``dp_masks``."""
CHARTS = 24
"""The charts of DensePose's body surface; ``dp_I`` numbers them from 1."""
CHART_MIRROR = np.array([0, 1, 2, *(n + 1 if n % 2 else n - 1 for n in range(3, CHARTS + 1))])
"""The chart on the other side of the body, by chart; 1 and 2 are the torso's back and front."""


def mirrored(parts: Sequence[str]) -> np.ndarray:
    """Find which labels change places when an image is flipped.

    Args:
        parts: N names; those of the left and right side begin with ``left_`` and ``right_``.

    Returns:
        (N + 1,) the label that each label becomes.

    Raises:
        ValueError: a name twice, or one of a side without its counterpart.
    """
    sides = {'left_': 'right_', 'right_': 'left_'}
    if len(set(parts)) < len(parts):
        raise ValueError(f'parts={tuple(parts)} must be different names')
    labels = {name: label for label, name in enumerate(parts, start=1)}
    found = [0]
    for name in parts:
        side = next((side for side in sides if name.startswith(side)), '')
        other = sides.get(side, '') + name.removeprefix(side)
        if other not in labels:
            raise ValueError(f'parts={tuple(parts)}: {name!r} needs its counterpart {other!r}')
        found.append(labels[other])
    return np.array(found)


def at_cells(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Take the labels of the pixels that a map's cells look at: cell (i, j) at pixel (4i, 4j).

    Args:
        labels: (…, H, W) of the network's input.
        size: (h, w) of the map, H/h = W/w a whole number, its stride: 4 above.

    Returns:
        (…, h, w).

    Raises:
        ValueError: the sizes do not go with one another.
    """
    height, width = labels.shape[-2:]
    stride = height // size[0]
    if (size[0] * stride, size[1] * stride) != (height, width):
        raise ValueError(
            f'maps of {size[1]}×{size[0]} cells do not divide an input of {width}×{height} pixels'
        )
    return labels[..., ::stride, ::stride]


def confusion(found: Tensor, truth: Tensor, number: int) -> Tensor:
    """Count how often each label is found where each label is true.

    Args:
        found, truth: labels of one shape, below ``number``; where the truth is IGNORED nothing
            is counted.
        number: of the labels, N + 1.

    Returns:
        (number, number) long; row: true, column: found.
    """
    counted = truth != IGNORED
    pairs = truth[counted].long() * number + found[counted].long()
    return torch.bincount(pairs, minlength=number**2).reshape(number, number)


def intersection_over_union(table: Tensor) -> Tensor:
    """Compute the IoU of each label from :func:`confusion`; NaN of one that is nowhere."""
    both = table.diagonal().double()
    return both / (table.sum(dim=0) + table.sum(dim=1) - both)
