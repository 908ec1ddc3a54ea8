"""Reading a few pixels of maps and the extremes of their blocks, on the device that they are on.

Letters as in ``grouping.py``.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 8
"""Pixels of the side of a block. No result depends on it, but the time does."""


def as_array(maps: Tensor) -> np.ndarray | Tensor:
    """Give maps on the CPU to numpy, for torch's threads cost more than they save on such work."""
    return maps.numpy() if maps.device.type == 'cpu' else maps


def take(maps: Tensor, index: np.ndarray) -> np.ndarray:
    """Read maps at flat indices, where they are."""
    array = as_array(maps)
    if isinstance(array, np.ndarray):
        return array.take(index)
    return array.take(torch.from_numpy(index).to(array.device)).cpu().numpy()


def values_at(maps: Tensor, channels: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Read maps (…, H, W), counted through, at pixels; one beyond the border is its neighbor."""
    height, width = maps.shape[-2:]
    y, x = y.clip(0, height - 1), x.clip(0, width - 1)
    return take(maps, (channels * height + y) * width + x)


def row_extremes(maps: Tensor, index: np.ndarray) -> np.ndarray:
    """Read maps at flat indices (M, S), where they are: the least and greatest of rows, (2, M)."""
    array = as_array(maps)
    if isinstance(array, np.ndarray):
        values = array.take(index)
        return np.stack([values.min(axis=1), values.max(axis=1)])
    moved = array.take(torch.from_numpy(index).to(array.device))
    return torch.stack([moved.amin(dim=1), moved.amax(dim=1)]).cpu().numpy()


def reduce_blocks(*wanted: tuple[Tensor, str]) -> np.ndarray:
    """Reduce maps (H, W), where they are, to the 'maximum' or 'minimum' of their blocks, (…, h, w).

    Blocks at the far borders may be smaller.
    """
    reduced: list[Any] = [reduce_map(as_array(channel), extreme) for channel, extreme in wanted]
    if isinstance(reduced[0], np.ndarray):
        return np.stack(reduced)
    return torch.stack(reduced).cpu().numpy()


def reduce_map(array: Any, extreme: str, rows: int = BLOCK) -> Any:
    """Reduce blocks of some rows of an array or a tensor, which have these operations in common."""
    pick = getattr(np if isinstance(array, np.ndarray) else torch, extreme)
    for size in (rows, BLOCK):
        reduced = pick(array[::size], array[::size])
        for i in range(1, min(size, len(array))):
            part = array[i::size]
            same = reduced[: len(part)]
            pick(same, part, out=same)
        array = reduced.T
    return array


def block_pixels(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> np.ndarray:
    """Locations (M, S) of the pixels of blocks; those that jut out of the map are moved inside."""
    y = np.minimum(rows * BLOCK, max(height - BLOCK, 0))
    x = np.minimum(columns * BLOCK, max(width - BLOCK, 0))
    inner = np.arange(min(BLOCK, height))[:, None] * width + np.arange(min(BLOCK, width))
    return (y * width + x)[:, None] + inner.ravel()
