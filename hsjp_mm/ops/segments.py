"""Segments of images on the cells of a feature map.

Letters: B images, h and w height and width of a map of segments, H and W those of a feature map,
P = H·W its cells row by row, C channels, M segments that are drawn.
"""

import torch
from torch import Tensor


def to_cells(segments: Tensor, size: tuple[int, int]) -> Tensor:
    """Give each cell of a feature map the segment that most of its pixels are of.

    Of several the one of the lowest number, and no segment before all others.

    Args:
        segments: (B, h, w) long, below 0 where there is none.
        size: (H, W); a pixel belongs to the cell in which its upper left corner lies.

    Returns:
        (B, P) long, −1 where there is no segment.
    """
    rows, columns = (
        torch.arange(side, device=segments.device) * cells // side
        for side, cells in zip(segments.shape[1:], size, strict=True)
    )
    images = torch.arange(len(segments), device=segments.device)[:, None, None]
    cells = (images * size[0] + rows[:, None]) * size[1] + columns
    known = segments.clamp(min=-1) + 1
    number = int(known.max()) + 1
    counts = torch.bincount(
        (cells * number + known).flatten(), minlength=len(segments) * size[0] * size[1] * number
    )
    return counts.reshape(len(segments), -1, number).argmax(dim=2) - 1


def draw(cells: Tensor, picks: Tensor) -> Tensor:
    """Draw segments among those that hold a cell, with replacement and each as likely as another.

    Args:
        cells: (B, P) long, the segment of each cell or −1.
        picks: (B, M) random numbers, uniform in [0, 1).

    Returns:
        (B, M) long.

    Raises:
        ValueError: an image of which no cell is in a segment.
    """
    present = cells.new_zeros(len(cells), int(cells.max()) + 2).scatter_(1, cells + 1, 1)[:, 1:]
    numbers = present.sum(dim=1, keepdim=True)
    if not numbers.all():
        raise ValueError(
            'a view shows none of the segments of its crop: views of segments must lie in the '
            'crop, or reach little beyond it'
        )
    places = (picks.to(cells.device) * numbers).long().clamp(max=numbers - 1)
    return torch.searchsorted(present.cumsum(dim=1), places + 1)


def pool(maps: Tensor, cells: Tensor, drawn: Tensor) -> Tensor:
    """Average a feature map over segments.

    Args:
        maps: (B, C, H, W).
        cells: (B, P) long, the segment of each cell.
        drawn: (B, M) long, segments that hold a cell.

    Returns:
        (B, M, C).
    """
    masks = (cells[:, None] == drawn[..., None]).to(maps.dtype)
    return masks @ maps.flatten(2).mT / masks.sum(dim=2, keepdim=True)
