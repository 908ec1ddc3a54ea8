"""Values of maps at points.

Letters: B maps of C channels, h and w their height and width, P points.
"""

from torch import Tensor


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
