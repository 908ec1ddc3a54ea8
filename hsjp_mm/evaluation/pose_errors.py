"""How far predicted joints in 3D are from where they should be: what the metrics of poses share.

Letters: N persons, K joints. Points are in meters, results in millimeters and percent.
"""

import numpy as np
import torch
from torch import Tensor

from hsjp_mm.ops.procrustes import align

MILLIMETERS = 1000.0
LIMIT = 150.0
"""Of 3DPCK in millimeters: about half of a head, from MPI-INF-3DHP."""


def centered(points: Tensor, roots: Tensor) -> Tensor:
    """Points (N, K, 3) from the middle of their roots (N, R, 3)."""
    return points - roots.mean(dim=1, keepdim=True)


def joint_errors(predicted: Tensor, truth: Tensor) -> Tensor:
    """Distances of points (N, K, 3) from those of truth.

    Returns:
        (N, K) in millimeters, double precision.

    Raises:
        ValueError: the shapes differ, or a predicted coordinate is not finite, which a mean over
            the others would hide.
    """
    if predicted.shape != truth.shape:
        raise ValueError(
            f'predicted points {tuple(predicted.shape)} and true ones {tuple(truth.shape)} must '
            'have one shape'
        )
    for name, points in (('predicted', predicted), ('true', truth)):
        bad = ~points.isfinite().flatten(1).all(dim=1)
        if bad.any():
            raise ValueError(
                f'{int(bad.sum())} of {len(bad)} {name} poses have coordinates that are not finite'
            )
    return (predicted.double() - truth.double()).norm(dim=-1) * MILLIMETERS


def aligned_errors(predicted: Tensor, truth: Tensor) -> Tensor:
    """The same after each pose is laid on its truth by rotation, scale and translation."""
    return joint_errors(align(predicted, truth), truth)


def pck_and_auc(errors: np.ndarray, limit: float = LIMIT) -> tuple[float, float]:
    """3DPCK and the area under its curve, in percent.

    The share of errors below ``limit``, and its mean over the limits 0, 5, 10, … up to ``limit``.

    Args:
        errors: any shape, in millimeters, not empty.
        limit: in millimeters.
    """
    limits = np.arange(0, limit + 1, 5)
    shares = [(errors < one).mean() for one in limits]
    return 100 * float((errors < limit).mean()), 100 * float(np.mean(shares))


def table(title: str, names: list[str], columns: dict[str, np.ndarray]) -> str:
    """Write a line for each joint, with its values of each column."""
    left = max(map(len, [*names, title]))
    lines = [f'{title:{left}}' + ''.join(f'{heading:>12}' for heading in columns)]
    for row, name in enumerate(names):
        cells = ''.join(f'{values[row]:>12.1f}' for values in columns.values())
        lines.append(f'{name:{left}}' + cells)
    return '\n'.join(lines)


def as_points(values: Tensor | np.ndarray) -> Tensor:
    """Points of a data sample, on the CPU in double precision."""
    return torch.as_tensor(values).detach().double().cpu()
