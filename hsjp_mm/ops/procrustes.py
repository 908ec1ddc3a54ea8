"""Lay point sets on others by a similarity: rotation, scale and translation.

Letters: … any leading dimensions, N points.
"""

import torch
from torch import Tensor


def similarity_transform(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the similarity that brings source closest to target, by the sum of squared distances.

    From `Least-squares estimation of transformation parameters between two point patterns
    <https://doi.org/10.1109/34.88573>`_, equations 38 to 42. It is never a reflection: the mirror
    image of a pose does not fit it. scipy's ``procrustes`` and ``orthogonal_procrustes`` allow
    reflections, and neither takes several sets.

    Points on a line leave the turn about it open, and one solution is returned; points of source
    that all coincide leave the rotation and the scale open, for which 1 is returned.

    Args:
        source: (…, N, 3), finite.
        target: (…, N, 3), finite.

    Returns:
        The scale (…,), rotation (…, 3, 3) and translation (…, 3) in double precision, of which
        ``scale · rotation · x + translation`` is nearest to target.

    Raises:
        ValueError: the shapes differ or are others, or a coordinate is not finite.
    """
    if source.shape != target.shape or source.ndim < 2 or source.shape[-1] != 3:
        raise ValueError(
            f'source and target must both be (…, N, 3), got {tuple(source.shape)} and '
            f'{tuple(target.shape)}'
        )
    if not source.shape[-2]:
        raise ValueError(f'source must hold points, got the shape {tuple(source.shape)}')
    for name, points in (('source', source), ('target', target)):
        _require_finite(name, points)
    source, target = source.double(), target.double()
    middle, goal = source.mean(dim=-2), target.mean(dim=-2)
    source, target = source - middle[..., None, :], target - goal[..., None, :]
    left, values, right = torch.linalg.svd(target.mT @ source)
    # of the smallest singular value the direction is turned round where that avoids a reflection
    signs = torch.ones_like(values)
    signs[..., 2] = (left @ right).det().sign()
    rotation = left * signs[..., None, :] @ right
    square = source.square().sum(dim=(-2, -1))
    scale = torch.where(square > 0, (values * signs).sum(dim=-1) / square.clamp(min=1e-300), 1)
    translation = goal - scale[..., None] * (rotation @ middle[..., None]).squeeze(-1)
    return scale, rotation, translation


def align(source: Tensor, target: Tensor) -> Tensor:
    """Lay source on target, as PA-MPJPE does before it measures.

    Args:
        source: (…, N, 3), finite.
        target: (…, N, 3), finite.

    Returns:
        (…, N, 3) in double precision; see :func:`similarity`.

    Raises:
        ValueError: as :func:`similarity`.
    """
    scale, rotation, translation = similarity_transform(source, target)
    return scale[..., None, None] * source.double() @ rotation.mT + translation[..., None, :]


def _require_finite(name: str, points: Tensor) -> None:
    bad = ~points.isfinite().reshape(-1, points.shape[-2] * 3).all(dim=1)
    if bad.any():
        first = ', '.join(str(i) for i in bad.nonzero().flatten()[:5].tolist())
        raise ValueError(
            f'{name} has coordinates that are not finite in {int(bad.sum())} of {len(bad)} point '
            f'sets (first: {first}): an error over the others would hide them'
        )
