"""The mean place of scores: a coordinate that can be learnt through."""

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
