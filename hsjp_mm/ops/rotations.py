"""Rotations of body joints: matrices inside, and what files and linear layers hold instead.

A rotation is a matrix R (3, 3) that turns columns, x' = R x. The other three forms exist at the
edges only, each in one convention:

- axis-angle (3): the axis times the angle in radians, as files of body poses have it.
- quaternion (4): (w, x, y, z), of length 1, with w ≥ 0 where one is made here.
- 6D (6): the first two columns of R, row by row, (R00, R01, R10, R11, R20, R21), which is how HMR,
  SPIN, PARE and PyMAF lay it out; the identity is (1, 0, 0, 1, 0, 0). 4D-Humans (HMR2) lays out
  (R00, R10, R20, R01, R11, R21), for which the identity is (1, 0, 0, 0, 1, 0); no shape tells the
  two apart, so numbers of its files must be put in our order first.

Half precision is too coarse for angles: such inputs are worked on, and returned, in single
precision. All values and gradients are finite, also at angles 0 and π; at π the axis of a rotation
has two signs, one of which is returned. Letters: … any leading dimensions.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SMALL = 1e-3  # squares below it go by series, whose first missing term is below 1e-17


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula.

    Args:
        axis_angle: (…, 3) in radians.

    Returns:
        (…, 3, 3).
    """
    vector = _precise(axis_angle)
    square = (vector**2).sum(dim=-1)[..., None, None]
    near = square < SMALL
    angle = torch.where(near, 1, square).sqrt()
    # sin t / t, and (1 − cos t) / t² as a square, which small angles do not cancel
    first = torch.where(
        near, 1 - square / 6 * (1 - square / 20 * (1 - square / 42)), angle.sin() / angle
    )
    second = torch.where(
        near,
        0.5 - square / 24 * (1 - square / 30 * (1 - square / 56)),
        2 * ((angle / 2).sin() / angle) ** 2,
    )
    x, y, z = vector.unbind(dim=-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    outer = vector[..., :, None] * vector[..., None, :]
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return identity + first * cross + second * (outer - square * identity)


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """The rotation's axis times its angle, which is from 0 to π.

    Args:
        matrix: (…, 3, 3), rotations.

    Returns:
        (…, 3) in radians.
    """
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """The unit quaternion q = (w, x, y, z) with w ≥ 0.

    The entries of R make the matrix 4 q qᵀ, of which each row is a multiple of q. The row of the
    largest component is at least 2 long, so that dividing by its length is safe everywhere.

    Args:
        matrix: (…, 3, 3), rotations.

    Returns:
        (…, 4).
    """
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = _precise(matrix).flatten(-2).unbind(dim=-1)
    wx, wy, wz = r21 - r12, r02 - r20, r10 - r01
    xy, xz, yz = r10 + r01, r02 + r20, r21 + r12
    squares = torch.stack(
        [1 + r00 + r11 + r22, 1 + r00 - r11 - r22, 1 - r00 + r11 - r22, 1 - r00 - r11 + r22], -1
    )
    ww, xx, yy, zz = squares.unbind(dim=-1)
    rows = torch.stack([ww, wx, wy, wz, wx, xx, xy, xz, wy, xy, yy, yz, wz, xz, yz, zz], dim=-1)
    row = squares.detach().argmax(dim=-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    return _positive(F.normalize(rows.unflatten(-1, (4, 4)).gather(-2, row).squeeze(-2), dim=-1))


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """The rotation of a quaternion, which need not be of length 1.

    Args:
        quaternion: (…, 4), (w, x, y, z), not 0.

    Returns:
        (…, 3, 3).
    """
    w, x, y, z = F.normalize(_precise(quaternion), dim=-1).unbind(dim=-1)
    entries = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def quaternion_to_axis_angle(quaternion: Tensor) -> Tensor:
    """The axis times the angle, which is from 0 to π.

    Args:
        quaternion: (…, 4), (w, x, y, z), not 0.

    Returns:
        (…, 3) in radians.
    """
    unit = _positive(F.normalize(_precise(quaternion), dim=-1))
    w, vector = unit[..., :1], unit[..., 1:]
    square = (vector**2).sum(dim=-1, keepdim=True)
    near = square < SMALL
    length = torch.where(near, 1, square).sqrt()
    # angle / sin(angle / 2) = 2 arcsin(s) / s by its series, or 2 atan2(s, w) / s
    series = 2 * (1 + square / 6 + square**2 * (3 / 40) + square**3 * (15 / 336))
    series = series + square**4 * (2 * 105 / 3456)
    return vector * torch.where(near, series, 2 * torch.atan2(length, w) / length)


def rotation6d_to_matrix(rotation6d: Tensor) -> Tensor:
    """Make two columns orthonormal by Gram and Schmidt; the third is their cross product.

    From `On the Continuity of Rotation Representations in Neural Networks
    <https://arxiv.org/abs/1812.07035>`_, equation 14, in the order that this module names.

    Args:
        rotation6d: (…, 6), any numbers; only where the two columns are parallel, or one of them is
            0, is the result no rotation.

    Returns:
        (…, 3, 3).
    """
    first, second = _precise(rotation6d).unflatten(-1, (3, 2)).unbind(dim=-1)
    first = F.normalize(first, dim=-1)
    second = F.normalize(second - (first * second).sum(dim=-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def nearest_rotation(matrix: Tensor) -> Tensor:
    """The rotation nearest to a matrix by the sum of squared differences, such as to a mean.

    Args:
        matrix: (…, 3, 3).

    Returns:
        (…, 3, 3).
    """
    # autocast would multiply in half precision
    with torch.autocast(matrix.device.type, enabled=False):
        return _nearest_rotation(_precise(matrix))


def _nearest_rotation(matrix: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(matrix)
    # never a reflection: the direction of the smallest singular value is turned round for one
    signs = torch.ones_like(left[..., 0])
    signs[..., 2] = (left @ right).det().sign()
    return left * signs[..., None, :] @ right


def mirror_rotations(rotations: Tensor, order: Sequence[int]) -> Tensor:
    """The rotations of the mirror image of a body, x to −x.

    Args:
        rotations: (…, J, 3, 3).
        order: Of each joint, the same joint of the other side.

    Returns:
        (…, J, 3, 3), M R M with M = diag(−1, 1, 1), the sides swapped; undoes itself.
    """
    mirror = rotations.new_tensor([-1.0, 1.0, 1.0])
    return rotations[..., list(order), :, :] * mirror[:, None] * mirror


def matrix_to_rotation6d(matrix: Tensor) -> Tensor:
    """The first two columns, row by row.

    Args:
        matrix: (…, 3, 3), rotations.

    Returns:
        (…, 6).
    """
    return matrix[..., :2].flatten(-2)


def _precise(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _positive(quaternion: Tensor) -> Tensor:
    """Of the two quaternions of a rotation the one with w ≥ 0."""
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
