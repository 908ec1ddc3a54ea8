"""Patches of an image: split, join, shuffle, and the affine maps that move them.

Letters: B batch, C channels, H and W height and width, N patches along a side, K = N².

Coordinates: a point is (x, y) in pixels of the image that it is in; pixel (column, row) covers
[column, column + 1) × [row, row + 1), so an image spans [0, W] × [0, H] and the center of patch
(row, column) of the grid is ((2·column + 1)·W / 2N, (2·row + 1)·H / 2N), as in the HSJP paper.
Grids are (row, column); patch index i = row·N + column. Cell (column i, row j) of a heat map of
stride s stands at the point (s·i, s·j), MMPose's convention.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_to_grid(images: Tensor, grid: int) -> Tensor:
    """Resample images so that N divides both sides, each patch side rounded up.

    Args:
        images: (B, C, H, W).
        grid: N.

    Returns:
        (B, C, N·ceil(H/N), N·ceil(W/N)); the input itself where N divides its sides.
    """
    height, width = (grid * math.ceil(side / grid) for side in images.shape[-2:])
    if (height, width) == images.shape[-2:]:
        return images
    return F.interpolate(images, (height, width), mode='bilinear', align_corners=False)


def split(images: Tensor, grid: int) -> Tensor:
    """Cut images into patches; the inverse of :func:`join`.

    Args:
        images: (B, C, H, W), N divides H and W.
        grid: N.

    Returns:
        (B, K, C, H/N, W/N), patch i = row·N + column.

    Raises:
        ValueError: N does not divide a side.
    """
    batch, channels, height, width = images.shape
    if height % grid or width % grid:
        raise ValueError(
            f'grid={grid} does not divide the image, {width}×{height} pixels; '
            'resize_to_grid makes it fit'
        )
    patches = images.reshape(batch, channels, grid, height // grid, grid, width // grid)
    return patches.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def patch_boxes(grid: int, overlap: float) -> list[tuple[float, float, float, float]]:
    """Boxes of m×m patches (m is the grid) of which neighbors overlap, in shares of the image.

    As in section 5.3 of the JigClu paper: neighbors share ``overlap`` of the image's side, so a
    patch has (1 + (m−1)·overlap)/m of it, and the patches together span the image.

    Returns:
        m² times (left, top, right, bottom), left and right in widths of the image, top and bottom
        in heights; patch i = row·m + column.

    Raises:
        ValueError: ``overlap`` outside [0, 1).
    """
    if not 0 <= overlap < 1:
        raise ValueError(f'overlap={overlap} of the image side must be in [0, 1)')
    side = (1 + (grid - 1) * overlap) / grid
    starts = [i * (side - overlap) for i in range(grid)]
    return [(left, top, left + side, top + side) for top in starts for left in starts]


def join(patches: Tensor, grid: int) -> Tensor:
    """Put patches (B, K, C, h, w) together into images (B, C, N·h, N·w); inverts :func:`split`."""
    batch, _, channels, height, width = patches.shape
    rows = patches.reshape(batch, grid, grid, channels, height, width)
    return rows.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, grid * height, grid * width)


def random_slots(batch: int, grid: int, device: torch.device | str = 'cpu') -> Tensor:
    """Draw a uniform random permutation for each image, the distribution of Knuth and Durstenfeld.

    Sorting independent keys gives every order the same probability, and batches on a device;
    float64 keys make ties (which would favour the identity) negligible.

    Returns:
        (B, K) long: ``slots[b, i]`` is the place to which patch i of image b goes.
    """
    return torch.rand(batch, grid**2, dtype=torch.float64, device=device).argsort(dim=1)


def shuffle(patches: Tensor, slots: Tensor) -> Tensor:
    """Move patch i of image b to place ``slots[b, i]``; ``slots.argsort(dim=1)`` moves it back.

    Args:
        patches: (B, K, C, h, w).
        slots: (B, K) long, a permutation of 0…K−1 for each image.
    """
    sources = slots.argsort(dim=1)
    return patches.gather(1, sources[:, :, None, None, None].expand_as(patches))


def grid_centers(
    grid: int, height: float, width: float, device: torch.device | str = 'cpu'
) -> Tensor:
    """Centers of the grid's places in an image, (K, 2) float32, (x, y) in its pixels."""
    index = torch.arange(grid**2, device=device)
    column, row = index % grid, index // grid
    return torch.stack(
        [(2 * column + 1) * (width / (2 * grid)), (2 * row + 1) * (height / (2 * grid))], dim=1
    )


def affine(
    source: tuple[int, int], target: tuple[int, int], scale: Tensor, angle: Tensor, shift: Tensor
) -> Tensor:
    """Affine maps that fit one image size to another, then scale, rotate and move about the center.

    Args:
        source: (height, width) of the image that is read.
        target: (height, width) of the image that is made.
        scale: (B,) factor; above 1 enlarges.
        angle: (B,) radians, from the x to the y axis.
        shift: (B, 2) pixels of the target, (x, y).

    Returns:
        (B, 2, 3) float: multiplied with (x, y, 1) of the source, gives (x, y) of the target.
    """
    fit = torch.tensor([target[1] / source[1], target[0] / source[0]]).to(scale)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    linear = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2) * fit
    source_center = torch.tensor([source[1] / 2, source[0] / 2]).to(scale)
    target_center = torch.tensor([target[1] / 2, target[0] / 2]).to(scale)
    offset = target_center + shift - linear @ source_center
    return torch.cat([linear, offset[:, :, None]], dim=2)


def invert_affine(matrices: Tensor) -> Tensor:
    """Invert affine maps (B, 2, 3)."""
    linear = torch.linalg.inv(matrices[:, :, :2].double())
    offset = -linear @ matrices[:, :, 2:].double()
    return torch.cat([linear, offset], dim=2).to(matrices)


def warp_points(points: Tensor, matrices: Tensor) -> Tensor:
    """Apply affine maps (B, 2, 3) to points (B, K, 2) or (K, 2), (x, y) in pixels."""
    return points @ matrices[:, :, :2].transpose(1, 2) + matrices[:, None, :, 2]


def warp_images(images: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Apply affine maps to images by bilinear sampling; what lies outside becomes 0.

    Args:
        images: (B, C, H, W).
        matrices: (B, 2, 3), from pixels of ``images`` to pixels of the result.
        size: (height, width) of the result.
    """
    height, width = images.shape[-2:]
    to_source = invert_affine(matrices)
    # grid_sample counts both images from −1 to 1, edge to edge
    half_target = to_source.new_tensor([size[1] / 2, size[0] / 2])
    half_source = to_source.new_tensor([[width / 2], [height / 2]])
    linear = to_source[:, :, :2] * half_target / half_source
    offset = (to_source[:, :, :2] @ half_target + to_source[:, :, 2])[:, :, None] / half_source - 1
    theta = torch.cat([linear, offset], dim=2).to(images.dtype)
    sampling = F.affine_grid(theta, [len(images), 1, *size], align_corners=False)
    return F.grid_sample(images, sampling, mode='bilinear', align_corners=False)


def gaussian_maps(points: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """Equation (1) of the HSJP paper: one Gaussian of height 1 for each point.

    The exponential of a sum is the product of two, so each map is an outer product.

    Args:
        points: (B, K, 2), (x, y) in heat-map cells, real-valued.
        size: (height, width) of the maps.
        sigma: standard deviation in cells.

    Returns:
        (B, K, height, width).
    """
    rows = torch.arange(size[0], device=points.device, dtype=points.dtype)
    columns = torch.arange(size[1], device=points.device, dtype=points.dtype)
    along_x = torch.exp(-((columns - points[..., :1]) ** 2) / (2 * sigma**2))
    along_y = torch.exp(-((rows - points[..., 1:]) ** 2) / (2 * sigma**2))
    return along_y[..., :, None] * along_x[..., None, :]


def peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the highest cell of each map.

    Args:
        heatmaps: (B, K, height, width).

    Returns:
        (B, K, 2) cells (x, y), in the maps' dtype, and (B, K) their values.
    """
    values, index = heatmaps.flatten(2).max(dim=2)
    width = heatmaps.shape[-1]
    return torch.stack([index % width, index // width], dim=2).to(heatmaps.dtype), values
