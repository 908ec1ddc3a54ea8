"""The mean place of scores: a coordinate that can be learnt through."""

from collections.abc import Sequence

import torch
from torch import Tensor


def soft_argmax(scores: Tensor) -> Tensor:
    """Take the mean of the cells' indices by the softmax of their scores.

    From `Integral Human Pose Regression <https://arxiv.org/abs/1711.08229>`_, equation 2. MMPose's
    IntegralRegressionHead holds it for two dimensions, inside a head.

    Args:
        scores: (B, K, …) of one, two or three dimensions of cells.

    Returns:
        (B, K, D) in cells, the last dimension first: (x,), (x, y) or (x, y, z) of (w,), (h, w) or
        (d, h, w).
    """
    dimensions = scores.shape[2:]
    shares = scores.flatten(2).softmax(dim=2).unflatten(2, dimensions)
    places = []
    for axis in range(len(dimensions) - 1, -1, -1):
        others = [2 + other for other in range(len(dimensions)) if other != axis]
        along = shares.sum(dim=others) if others else shares
        indices = torch.arange(dimensions[axis], device=scores.device, dtype=scores.dtype)
        places.append((along * indices).sum(dim=2))
    return torch.stack(places, dim=2)


def cells_to_crop(cells: Tensor, size: Sequence[int], reach: float) -> Tensor:
    """From cells of a volume to places on the square crop about it.

    Cell j of a map of stride s is at pixel s · j of the input; the input is the middle of the crop.

    Args:
        cells: (…, 3), (x, y, z).
        size: (w, h, d) of the volume in cells.
        reach: Meters that the volume is deep, to the front and to the back.

    Returns:
        (…, 3), x and y from −1 to 1 on the crop, z in meters from the middle of the volume.
    """
    width, height, depth = size
    longer = max(width, height)
    last = cells.new_tensor([width, height, depth])
    return (cells * 2 - last) * cells.new_tensor([1 / longer, 1 / longer, reach / depth])


def crop_limits(like: Tensor, size: Sequence[int], reach: float) -> Tensor:
    """How far from its middle an input reaches, in the units of :func:`cells_to_crop`.

    Args:
        like: of the device and precision that are wanted.
        size: (width, height) of the input, or of its map.
        reach: as there.

    Returns:
        (3,), x and y on the crop, z in meters.
    """
    longer = max(size)
    return like.new_tensor([size[0], size[1], reach * longer]) / longer
