"""Where a cell of a feature map looks at, and what a map says at a point.

Letters: B images, K points of each, P of all, C channels, h and w height and width of a map.
Points are (x, y) in pixels of the image, whole numbers at the centers of pixels.
"""

import torch
from torch import Tensor


def sample_at(maps: Tensor, points: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate maps bilinearly at points of the images that they are of.

    Cell (row i, column j) of a map of stride s is at the pixel (s·j, s·i), MMPose's convention for
    heat maps. It is where the fields of ResNet, HRNet and Hourglass are centered, whose kernels of
    odd size are padded alike on both sides; the patches of a ViT or Swin are centered half a cell
    further. With ``align_corners`` the last cell would be at the image's last pixel instead, which
    for a map of 7×7 of 224×224 pixels is 31 pixels off. Points beyond the outer cells get those.

    torch's ``grid_sample`` has no deterministic gradient on a GPU; this is one matrix product.

    Args:
        maps: (B, C, h, w).
        points: (B, K, 2).
        size: (width, height) of the images in pixels.

    Returns:
        (B, K, C), in single precision at least.
    """
    height, width = maps.shape[-2:]
    columns = _shares(points[..., 0] * (width / size[0]), width)
    rows = _shares(points[..., 1] * (height / size[1]), height)
    # autocast would multiply in half precision
    with torch.autocast(maps.device.type, enabled=False):
        values = maps.to(torch.promote_types(maps.dtype, torch.float32)).flatten(2)
        shares = (rows[..., :, None] * columns[..., None, :]).flatten(2).to(values)
        return shares @ values.transpose(1, 2)


def _shares(places: Tensor, cells: int) -> Tensor:
    """The shares of the cells of a line at places along it, (…,) → (…, cells)."""
    everyone = torch.arange(cells, device=places.device)
    return (1 - (places.clamp(0, cells - 1)[..., None] - everyone).abs()).clamp(min=0)


def sample_points(maps: Tensor, points: Tensor, owners: Tensor) -> Tensor:
    """Interpolate maps bilinearly at points, of which each map may have another number.

    As torch's ``grid_sample`` with ``align_corners=True`` and ``padding_mode='border'``, which
    wants the same number in every map.

    Args:
        maps: (B, C, h, w).
        points: (P, 2), (x, y) in cells, (0, 0) the middle of the first cell. Points beside the map
            get the value of its border.
        owners: (P,) long, the map in which each lies.

    Returns:
        (P, C), with gradient to the maps.
    """
    height, width = maps.shape[-2:]
    x, y = points[:, 0].clamp(0, width - 1), points[:, 1].clamp(0, height - 1)
    left, top = x.long(), y.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    x, y = (x - left)[:, None], (y - top)[:, None]
    above = maps[owners, :, top, left] * (1 - x) + maps[owners, :, top, right] * x
    below = maps[owners, :, bottom, left] * (1 - x) + maps[owners, :, bottom, right] * x
    return above * (1 - y) + below * y
