"""Reading a few pixels of an image's maps and the extremes of their blocks, where they are.

Letters as in ``grouping.py``, and M maps, C of them that are asked for, S pixels of a block. A flat
index is (m·H + y)·W + x, and blocks of a map are counted alike.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
"""Pixels of the side of a block. No result depends on it, but the time does."""

DENSE = 0.5
"""The share of the blocks of a map from which on all of them are reduced. As with BLOCK."""


class Maps(ABC):
    """Maps (M, H, W) of an image, of which only what is asked for is read.

    Attributes:
        shape: (M, H, W).
        blocks: (h, w), how many blocks a map has. Those at the far borders may be smaller.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self.blocks = -(-shape[1] // BLOCK), -(-shape[2] // BLOCK)

    @abstractmethod
    def take(self, index: np.ndarray) -> np.ndarray:
        """Read pixels at flat indices."""

    @abstractmethod
    def take_blocks(self, channels: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Read blocks, which are at :meth:`block_pixels`, of maps (Q,): (Q, S)."""

    @abstractmethod
    def maxima(self, kernel: int, least: np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the pixels that nothing in the window around them exceeds.

        Args:
            kernel: odd side of the window.
            least: what they must reach.

        Returns:
            flat indices and values; and bounds of all blocks from above (M, h, w).
        """

    @abstractmethod
    def extremes(self, channels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Bound the values of blocks of maps (C,) from below and above.

        Args:
            channels: which maps.
            asked: (C, h, w) which blocks; it may be changed.

        Returns:
            (2, C·h·w), with anything for what was not asked for.
        """

    @abstractmethod
    def middles(self, channels: np.ndarray) -> np.ndarray:
        """Guess the values in the middle of all blocks of maps (C,): (C, h, w)."""

    @abstractmethod
    def whole(self) -> np.ndarray:
        """Give all pixels, as an array that may be changed."""

    @abstractmethod
    def finite(self) -> bool:
        """Tell whether no value is NaN or infinite."""

    def at(self, channels: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Read pixels; one beyond the border is its neighbor."""
        _, height, width = self.shape
        y, x = y.clip(0, height - 1), x.clip(0, width - 1)
        return self.take((channels * height + y) * width + x)

    def block_pixels(self, places: np.ndarray) -> np.ndarray:
        """Give the locations (Q, S) of blocks; those that jut out of the map are moved inside."""
        _, height, width = self.shape
        rows, columns = np.divmod(places, self.blocks[1])
        y = np.minimum(rows * BLOCK, max(height - BLOCK, 0))
        x = np.minimum(columns * BLOCK, max(width - BLOCK, 0))
        inner = np.arange(min(BLOCK, height))[:, None] * width + np.arange(min(BLOCK, width))
        return (y * width + x)[:, None] + inner.ravel()

    def _stand(
        self, channels: np.ndarray, locations: np.ndarray, scores: np.ndarray, reach: int
    ) -> np.ndarray:
        """Tell which pixels nothing exceeds that is so near, by their numbers."""
        kept = np.arange(len(scores))
        side = np.arange(-reach, reach + 1)
        for dy in sorted(side, key=abs):
            y, x = np.divmod(locations[kept, None], self.shape[2])
            around = self.at(channels[kept, None], y + dy, x + side)
            kept = kept[around.max(axis=1) <= scores[kept]]
        return kept


class WholeMaps(Maps):
    """Maps that are there as a whole, on any device. What is read is moved, and nothing else.

    Args:
        tensor: (M, H, W); read as float32.
    """

    def __init__(self, tensor: Tensor):
        self.tensor = tensor.detach().float().contiguous()
        self.array = as_array(self.tensor)
        super().__init__(tuple(tensor.shape))

    def take(self, index: np.ndarray) -> np.ndarray:
        if isinstance(self.array, np.ndarray):
            return self.array.take(index)
        return self._there(index).cpu().numpy()

    def _there(self, index: np.ndarray) -> Tensor:
        return self.tensor.take(torch.from_numpy(index).to(self.tensor.device))

    def take_blocks(self, channels: np.ndarray, places: np.ndarray) -> np.ndarray:
        return self.take(self._indices(channels, places))

    def _indices(self, channels: np.ndarray, places: np.ndarray) -> np.ndarray:
        _, height, width = self.shape
        return (channels * height * width)[:, None] + self.block_pixels(places)

    def maxima(self, kernel: int, least: np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        reach = kernel // 2
        if not isinstance(self.array, np.ndarray):
            window = F.max_pool2d(self.tensor, kernel, 1, reach)
            found = (self.tensor == window) & (self.tensor >= float(least))
            pixels = found.flatten().nonzero().flatten().cpu().numpy()
            return (
                pixels,
                self.take(pixels),
                reduce_blocks(*((one, 'maximum') for one in self.tensor)),
            )
        parts = [_row_maxima(one, reach, least) for one in self.array]
        *candidates, highest = zip(*parts, strict=True)
        channels = np.repeat(np.arange(len(parts)), [len(scores) for scores in candidates[1]])
        locations, scores = map(np.concatenate, candidates)
        kept = self._stand(channels, locations, scores, reach)
        _, height, width = self.shape
        return (channels * height * width + locations)[kept], scores[kept], np.stack(highest)

    def extremes(self, channels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        extremes = np.empty((2, *asked.shape), np.float32)
        dense = asked.mean(axis=(1, 2)) > DENSE
        if dense.any():
            wanted = channels[dense].tolist()
            ways = 'minimum', 'maximum'
            reduced = reduce_blocks(*((self.array[k], way) for way in ways for k in wanted))
            extremes[:, dense] = reduced.reshape(2, -1, *asked.shape[1:])
            asked[dense] = False
        extremes = extremes.reshape(2, -1)
        blocks = np.flatnonzero(asked)
        maps, places = np.divmod(blocks, asked[0].size)
        index = self._indices(channels[maps], places)
        if isinstance(self.array, np.ndarray):
            values = self.array.take(index)
            extremes[:, blocks] = values.min(axis=1), values.max(axis=1)
        else:
            there = self._there(index)
            extremes[:, blocks] = torch.stack([there.amin(1), there.amax(1)]).cpu().numpy()
        return extremes

    def middles(self, channels: np.ndarray) -> np.ndarray:
        _, height, width = self.shape
        rows, columns = (
            np.arange(BLOCK // 2, side + BLOCK // 2, BLOCK).clip(max=side - 1)
            for side in (height, width)
        )
        return self.take((channels[:, None, None] * height + rows[:, None]) * width + columns)

    def whole(self) -> np.ndarray:
        return self.tensor.cpu().numpy().copy()

    def finite(self) -> bool:
        return all_finite(self.tensor)


def as_array(maps: Tensor) -> np.ndarray | Tensor:
    """Give maps on the CPU to numpy, for torch's threads cost more than they save on such work."""
    return maps.numpy() if maps.device.type == 'cpu' else maps


def all_finite(maps: Tensor) -> bool:
    """Tell whether no value is NaN or infinite."""
    # a sum is ten times as fast as isfinite on all, but can overflow
    return bool(np.isfinite(float(maps.sum())) or maps.isfinite().all())


def reduce_blocks(*wanted: tuple[Any, str]) -> np.ndarray:
    """Reduce maps (H, W), where they are, to the 'maximum' or 'minimum' of their blocks, (…, h, w).

    Blocks at the far borders may be smaller.
    """
    reduced: list[Any] = [_reduce_map(channel, extreme) for channel, extreme in wanted]
    if isinstance(reduced[0], np.ndarray):
        return np.stack(reduced)
    return torch.stack(reduced).cpu().numpy()


def _reduce_map(array: Any, extreme: str, rows: int = BLOCK) -> Any:
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


def _row_maxima(
    heatmap: np.ndarray, reach: int, least: np.float32
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pixels of a map (H, W) that may be maxima of their windows.

    Strips of rows are reduced to their maxima, low enough for the window of each of their pixels
    to cover them. Of these, only those are looked at that are maxima along their strip.

    Returns:
        locations and values; and the greatest value of each block (h, w).
    """
    height, width = heatmap.shape
    size = min(1 << (reach + 1).bit_length() - 1, BLOCK)  # a power of two, as the blocks
    strips = np.empty((-(-height // size), width + reach), np.float32)
    strips[:, width:] = -np.inf  # ends each
    inside = strips[:, :width]
    inside[:] = heatmap[::size]
    for i in range(1, min(size, height)):
        part = heatmap[i::size]
        same = inside[: len(part)]
        np.maximum(same, part, out=same)
    warmest = _reduce_map(inside, 'maximum', BLOCK // size)
    cells = np.flatnonzero(strips >= least)
    values = strips.take(cells)
    for offset in sorted({*range(-reach, size)} - {0}, key=abs):
        stands = strips.take(cells + offset, mode='wrap') <= values
        cells, values = cells[stands], values[stands]
    rows, x = np.divmod(cells[:, None], strips.shape[1])
    y = rows * size + np.arange(size)
    pixels = heatmap[y.clip(max=height - 1), x]
    stands = (pixels == values[:, None]) & (y < height)
    return (y * width + x)[stands], pixels[stands], warmest
