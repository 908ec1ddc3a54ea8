"""Cameras: weak perspective on a crop, and the place of a body before the camera of the image.

A mesh regressor sees a square crop, and says (s, x, y), weak perspective: the body's point (X, Y)
in meters is at s · (X + x, Y + y) on a crop that reaches from −1 to 1. That is perspective with the
body far away, at the depth where it is s times as large; which depth that is depends on the focal
length. From there on all is perspective: camera frame x right, y down, z forward, in meters; points
of an image in pixels.

A crop is (x, y, side) in pixels of the image it is of, its center and the length of its side;
``(w / 2, w / 2, w)`` is the crop of width w itself, MMPose's ``get_warp_matrix`` having its center
at w / 2. Letters: … any leading dimensions, N points.
"""

import torch
from torch import Tensor

FOCAL = 5000.0
"""Focal length in pixels that HMR, SPIN and PARE assume for a crop of 224 pixels, which is far
more than of any image: the body is nearly in weak perspective."""

SMALLEST_SPREAD = 1e-6
"""Of pixels, in focal lengths, from which on they tell how far away a body is."""

NEAREST = 0.1
"""The smallest depth, as a share of the body's, that points are projected from: a network's first
guesses may reach behind the camera, where an image has no point."""


def guess_camera(sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Guess the camera of an image of which nothing is known.

    The focal length is the image's diagonal, a field of view of 53° along it, as in `CLIFF
    <https://arxiv.org/abs/2208.00571>`_; the optical axis is at the image's center.

    Args:
        sizes: (…, 2), width and height in pixels.

    Returns:
        The focal length (…,) and principal point (…, 2) in pixels.
    """
    return sizes.square().sum(dim=-1).sqrt(), sizes / 2


def project(points: Tensor, focal: Tensor | float, principal: Tensor) -> Tensor:
    """Project points of the camera frame into the image.

    Args:
        points: (…, N, 3), in front of the camera (z above 0).
        focal: (…,) in pixels, or one for all.
        principal: (…, 2), the principal point in pixels.

    Returns:
        (…, N, 2) in pixels.
    """
    focal = torch.as_tensor(focal, dtype=points.dtype, device=points.device)[..., None, None]
    return focal * points[..., :2] / points[..., 2:] + principal[..., None, :]


def to_pixels(points, camera):
    """Project points with a camera whose focal lengths along x and y may differ.

    Args:
        points: (…, 3), in front of the camera (z above 0), an array or a tensor.
        camera: (…, 4), fx, fy, cx, cy in pixels, of the same type.

    Returns:
        (…, 2) in pixels.
    """
    return points[..., :2] / points[..., 2:] * camera[..., :2] + camera[..., 2:]


def image_to_crop(points: Tensor, crops: Tensor) -> Tensor:
    """Where on a crop, from −1 to 1, points of the image are.

    Args:
        points: (…, N, 2) in pixels of the image.
        crops: (…, 3), center and side of the crop in pixels of the image.

    Returns:
        (…, N, 2), from −1 to 1 on the crop.
    """
    return (points - crops[..., None, :2]) / (crops[..., None, 2:] / 2)


def crop_to_image(points: Tensor, crops: Tensor) -> Tensor:
    """Undo :func:`image_to_crop`: from −1 to 1 on a crop to pixels of the image."""
    return crops[..., None, :2] + crops[..., None, 2:] / 2 * points


def input_to_crop(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Where on the crop, from −1 to 1, points of the network's input are.

    The crop is the square of the input's longer side, about the same center.

    Args:
        points: (…, 2) in pixels of the input.
        size: (width, height) of the input in pixels.

    Returns:
        (…, 2), from −1 to 1 on the crop.
    """
    return (points - points.new_tensor(size) / 2) / (max(size) / 2)


def weak_projection(points: Tensor, weak: Tensor) -> Tensor:
    """Where weak perspective has points of a body on its crop.

    Args:
        points: (…, N, 3), of the body in meters; depths do not matter.
        weak: (…, 3), (s, x, y).

    Returns:
        (…, N, 2), from −1 to 1 on the crop.
    """
    return weak[..., None, :1] * (points[..., :2] + weak[..., None, 1:])


def crop_projection(
    points: Tensor, weak: Tensor, crops: Tensor, focal: Tensor | float, principal: Tensor
) -> Tensor:
    """Where perspective has points on a crop, of a body that weak perspective places.

    The same as :func:`project` of the points plus :func:`weak_to_translation`, in the crop's units.
    It is written such that nothing is divided by the scale s, of which 0 is infinitely far away, so
    that values and gradients stay finite for any guess of a network.

    The camera that HMR, SPIN and PARE assume is that of the crop ``(0, 0, 224)`` with
    :data:`FOCAL` and the principal point ``(0, 0)``; `CLIFF <https://arxiv.org/abs/2208.00571>`_
    takes that of the image.

    Args:
        points: (…, N, 3), of the body in meters.
        weak: (…, 3), (s, x, y).
        crops: (…, 3), center and side of the crop in pixels of the image.
        focal: (…,) of the image in pixels, or one for all.
        principal: (…, 2), the image's principal point in pixels.

    Returns:
        (…, N, 2), from −1 to 1 on the crop.
    """
    half = crops[..., 2] / 2
    beside = ((crops[..., :2] - principal) / half[..., None])[..., None, :]
    closeness = (weak[..., 0] * half / focal)[..., None, None]  # 1 / depth of the body, per meter
    depth = (1 + points[..., 2:] * closeness).clamp(min=NEAREST)  # shares of the body's
    return (weak_projection(points, weak) + beside) / depth - beside


def weak_to_translation(
    weak: Tensor, crops: Tensor, focal: Tensor | float, principal: Tensor
) -> Tensor:
    """Where before the camera a body stands that weak perspective has on a crop.

    At its origin's depth perspective then shows it exactly as weak perspective does, with the crop
    anywhere in the image; from `Beyond Weak Perspective for Monocular 3D Human Pose Estimation
    <https://arxiv.org/abs/2009.06549>`_. The sight of it is from the camera to the body, which is
    not straight ahead if the crop is off the image's center.

    Args:
        weak: (…, 3), (s, x, y), s not 0.
        crops: (…, 3), center and side of the crop in pixels of the image.
        focal: (…,) of the image in pixels, or one for all.
        principal: (…, 2), the image's principal point in pixels.

    Returns:
        (…, 3) in meters, to add to the points of the body.
    """
    scale = crops[..., 2] * weak[..., 0] / 2  # pixels of a meter
    across = weak[..., 1:] + (crops[..., :2] - principal) / scale[..., None]
    return torch.cat([across, (focal / scale)[..., None]], dim=-1)


def fit_translation(
    points: Tensor, pixels: Tensor, weights: Tensor, focal: Tensor | float, principal: Tensor
) -> Tensor:
    """Where before the camera a body stands whose points are seen at given pixels.

    Perspective, x = f (X + tx) / (Z + tz), is linear in the translation when both sides are
    multiplied by the depth; solved by least squares, as SPIN places its bodies.

    Args:
        points: (…, N, 3), of the body in meters.
        pixels: (…, N, 2).
        weights: (…, N), at least 0; pixels of weight 0 may be anything.
        focal: (…,) in pixels, or one for all.
        principal: (…, 2), the principal point in pixels.

    Returns:
        (…, 3) in meters, in double precision, to add to the points; NaN where the pixels that have
        a weight lie in one place, or there are none.
    """
    points, weights = points.double(), weights.double()
    focal = torch.as_tensor(focal, dtype=torch.float64, device=points.device)[..., None]
    seen = weights > 0
    pixels = torch.where(seen[..., None], pixels.double(), 0)
    rays = (pixels - principal.double()[..., None, :]) / focal[..., None]
    sums = weights.sum(dim=-1)
    middle = (weights[..., None] * rays).sum(dim=-2)
    square = (weights[..., None] * rays.square()).sum(dim=(-2, -1))
    # the rows (1, 0, −x), (0, 1, −y) of all points, times their transpose
    matrix = torch.diag_embed(torch.stack([sums, sums, square], dim=-1))
    matrix[..., :2, 2] = matrix[..., 2, :2] = -middle
    misses = weights[..., None] * (rays * points[..., 2:] - points[..., :2])
    along = -(rays * misses).sum(dim=(-2, -1))
    goal = torch.cat([misses.sum(dim=-2), along[..., None]], dim=-1)
    away = rays - (middle / sums[..., None])[..., None, :]
    spread = (weights[..., None] * away.square()).sum(dim=(-2, -1)) / sums
    known = (spread > SMALLEST_SPREAD**2)[..., None]
    identity = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    found = torch.linalg.solve(torch.where(known[..., None], matrix, identity), goal)
    return torch.where(known, found, torch.nan)


def translation_to_weak(
    translation: Tensor, crops: Tensor, focal: Tensor | float, principal: Tensor
) -> Tensor:
    """The weak perspective of a body before the camera, on a crop; undoes the above.

    Args:
        translation: (…, 3) in meters, z above 0.
        crops, focal, principal: as above.

    Returns:
        (…, 3), (s, x, y).
    """
    scale = focal / translation[..., 2]
    across = translation[..., :2] - (crops[..., :2] - principal) / scale[..., None]
    return torch.cat([(2 * scale / crops[..., 2])[..., None], across], dim=-1)
