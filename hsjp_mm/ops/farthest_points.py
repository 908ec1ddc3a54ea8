"""Choose points that lie evenly on a surface."""

import torch
from torch import Tensor


def farthest_points(points: Tensor, number: int) -> Tensor:
    """Choose points one after the other, each the farthest from those chosen before.

    The first is the one farthest from the mean of all. Of equally far ones the first is taken, so
    the choice is the same everywhere. From `The Farthest Point Strategy for Progressive Image
    Sampling <https://doi.org/10.1109/83.623193>`_.

    Args:
        points: (V, 3).
        number: how many, up to V.

    Returns:
        (number,) their places, in the order in which they were chosen.

    Raises:
        ValueError: more than there are, or fewer than one.
    """
    if not 1 <= number <= len(points):
        raise ValueError(f'number={number} must be from 1 to the {len(points)} points')
    points = points.double()
    distances = (points - points.mean(dim=0)).square().sum(dim=1)
    chosen = [int(distances.argmax())]
    nearest = (points - points[chosen[0]]).square().sum(dim=1)
    while len(chosen) < number:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).square().sum(dim=1))
    return torch.tensor(chosen)
