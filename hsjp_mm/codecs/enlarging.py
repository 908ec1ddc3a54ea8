"""Maps of the input's size of which only the blocks that are asked for are enlarged.

Letters as in ``reading.py``, and Q blocks or pixels that are read.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from hsjp_mm.codecs.reading import BLOCK, Maps, all_finite

FACTORS = 1, 2, 4, 8
"""By how much a map can be enlarged: a block is then made of whole cells."""

MARGIN = np.float32(1e-6)
"""Share of a cell's value by which rounding may at most lift what is interpolated beside it."""

TOGETHER = 512
"""So many blocks are enlarged at once, and stay in the cache. No result depends on it."""


class EnlargedMaps(Maps):
    """The mean of maps of several resolutions, each enlarged bilinearly, but only where it is read.

    The values are those of ``torch.nn.functional.interpolate(..., mode='bilinear')`` up to a share
    of 1e-6. A pixel has the same value to the bit however it is read, for in double precision its
    few products and sums are exact, unless its cells differ a hundred thousand times in size.

    Args:
        sources: maps on the CPU, each (M, height / factor, width / factor) of one size
            (height, width) that covers (H, W).
        factors: by how much each is enlarged: 1, 2, 4 or 8.
        size: (H, W). What lies to the right or below of it is interpolated with, but not read.

    Raises:
        ValueError: another factor, or sources that do not cover the size.
    """

    def __init__(self, sources: Sequence[Tensor], factors: Sequence[int], size: tuple[int, int]):
        covered = [
            [factor * side for side in source.shape[1:]]
            for source, factor in zip(sources, factors, strict=True)
        ]
        if not set(factors) <= set(FACTORS):
            raise ValueError(f'factors={list(factors)} must be of {FACTORS}')
        if any(side != covered[0] for side in covered) or not (np.array(size) <= covered[0]).all():
            raise ValueError(f'sources come to sizes of {covered}, which must cover size={size}')
        super().__init__((len(sources[0]), *size))
        self.sources = [source.detach().float() for source in sources]
        self.covered = covered[0]
        levels = zip(self.sources, factors, strict=True)
        self.levels = [_Level(source.numpy(), factor, self.blocks) for source, factor in levels]

    def take(self, index: np.ndarray) -> np.ndarray:
        channels, y, x = np.unravel_index(index, self.shape)
        return _mean([level.pixels(channels, y, x) for level in self.levels])

    def take_blocks(self, channels: np.ndarray, places: np.ndarray) -> np.ndarray:
        _, height, width = self.shape
        rows, columns = np.divmod(places, self.blocks[1])
        pixels = self.block_pixels(places)
        values = np.empty(pixels.shape, np.float32)
        juts = (rows * BLOCK + BLOCK > height) | (columns * BLOCK + BLOCK > width)
        inner = np.flatnonzero(~juts)
        for start in range(0, len(inner), TOGETHER):
            part = inner[start : start + TOGETHER]
            wanted = channels[part], rows[part], columns[part]
            values[part] = _mean([level.blocks(*wanted) for level in self.levels])
        values[juts] = self.take((channels * height * width)[juts, None] + pixels[juts])
        return values

    def maxima(self, kernel: int, least: np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        _, height, width = self.shape
        blocks = np.flatnonzero(self.upper >= least)
        channels, places = np.divmod(blocks, self.upper[0].size)
        values = self.take_blocks(channels, places)
        sides = min(BLOCK, height), min(BLOCK, width)
        stands = _above_neighbors(values.reshape(-1, *sides)).reshape(values.shape)
        if kernel == 1:
            stands[:] = True
        block, pixel = np.nonzero(stands & (values >= least))
        first = channels[block] * height * width
        # blocks that were moved inside share pixels with others
        pixels = np.unique(first + self.block_pixels(places)[block, pixel])
        scores = self.take(pixels)
        channels, locations = np.divmod(pixels, height * width)
        kept = self._stand(channels, locations, scores, kernel // 2)
        return pixels[kept], scores[kept], self.upper

    def extremes(self, channels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return np.stack([self.lower[channels].ravel(), self.upper[channels].ravel()])

    @cached_property
    def upper(self) -> np.ndarray:
        """Bounds of the values of all blocks from above: (M, h, w)."""
        return _mean([level.bounds(np.maximum, MARGIN) for level in self.levels])

    @cached_property
    def lower(self) -> np.ndarray:
        """Bounds of the values of all blocks from below: (M, h, w)."""
        return _mean([level.bounds(np.minimum, -MARGIN) for level in self.levels])

    def middles(self, channels: np.ndarray) -> np.ndarray:
        return _mean([level.middles(channels) for level in self.levels])

    def whole(self) -> np.ndarray:
        enlarged = (
            F.interpolate(source[None], self.covered, mode='bilinear', align_corners=False)
            for source in self.sources
        )
        _, height, width = self.shape
        return _mean([one[0, :, :height, :width].numpy() for one in enlarged])

    def finite(self) -> bool:
        return all(map(all_finite, self.sources))


class _Level:
    """Maps of one resolution, to be enlarged by a factor.

    Args:
        source: (M, height / factor, width / factor).
        factor: see above.
        blocks: (h, w), how many are to be made of it.

    Attributes:
        cells: the source with a copy of its border around it, so that each block is made of the
            same number of cells.
        first, weight: of each pixel along a side, the first of the two cells that it lies between,
            and the weight of the second.
        weights: of each of its cells (in rows) in each pixel of a block.
        step: cells of the side of a block; it is made of one more at each side.
    """

    def __init__(self, source: np.ndarray, factor: int, blocks: tuple[int, int]):
        self.num_blocks = blocks
        self.step = BLOCK // factor
        beyond = (
            max(number * self.step + 1 - side, 1)
            for number, side in zip(blocks, source.shape[1:], strict=True)
        )
        self.cells = np.pad(source, [(0, 0), *((1, pad) for pad in beyond)], mode='edge')
        doubled = 2 * np.arange(BLOCK * max(blocks)) + 1 + factor
        self.first, rest = np.divmod(doubled, 2 * factor)
        self.weight = rest / (2 * factor)
        ends = np.eye(self.step + 2)[[self.first[:BLOCK], self.first[:BLOCK] + 1]]
        one_side = _between(ends[0], ends[1], self.weight[:BLOCK, None])
        self.weights = np.kron(one_side, one_side).T

    def pixels(self, channels: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Enlarge pixels, in the shape of the arguments."""
        _, height, width = self.cells.shape
        index = (channels * height + self.first[y]) * width + self.first[x]
        upper, lower = (
            _between(self.cells.take(row), self.cells.take(row + 1), self.weight[x])
            for row in (index, index + width)
        )
        return _between(upper, lower, self.weight[y])

    def blocks(self, channels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Enlarge blocks: (Q, 64)."""
        _, height, width = self.cells.shape
        side = np.arange(self.step + 2)
        inner = (side[:, None] * width + side).ravel()
        index = (channels * height + rows * self.step) * width + columns * self.step
        return self.cells.take(index[:, None] + inner).astype(np.float64) @ self.weights

    def bounds(self, extreme: np.ufunc, margin: np.float32) -> np.ndarray:
        """Bound the pixels of each block by the cells that it is made of: (M, h, w)."""
        rows, columns = (number * self.step for number in self.num_blocks)
        side = range(self.step + 2)
        lines = _reduced(extreme, [self.cells[:, i : i + rows : self.step] for i in side])
        found = _reduced(extreme, [lines[:, :, i : i + columns : self.step] for i in side])
        return found + margin * np.abs(found)

    def middles(self, channels: np.ndarray) -> np.ndarray:
        """Enlarge the pixel in the middle of each block."""
        first, weight = self.first[BLOCK // 2], self.weight[BLOCK // 2]
        rows, columns = self.num_blocks
        cells = self.cells[channels]
        upper, lower = (cells[:, i : i + rows * self.step : self.step] for i in (first, first + 1))
        lines = _between(upper, lower, weight)
        left, right = (
            lines[:, :, i : i + columns * self.step : self.step] for i in (first, first + 1)
        )
        return _between(left, right, weight)


def _between(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Interpolate in double precision."""
    return first * (1 - weight) + second * weight


def _reduced(extreme: np.ufunc, parts: list[np.ndarray]) -> np.ndarray:
    reduced = extreme(parts[0], parts[1])
    for part in parts[2:]:
        extreme(reduced, part, out=reduced)
    return reduced


def _mean(levels: list[np.ndarray]) -> np.ndarray:
    total = sum(levels[1:], start=levels[0])
    return (total / len(levels)).astype(np.float32)


def _above_neighbors(blocks: np.ndarray) -> np.ndarray:
    """Tell which values of blocks (Q, a, b) are not exceeded by a neighbor of the same block."""
    stands = np.ones(blocks.shape, bool)
    for above, below in (
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:, :, 1:], np.s_[:, :, :-1]),
    ):
        rises = blocks[above] > blocks[below]
        falls = blocks[above] < blocks[below]
        stands[below] &= ~rises
        stands[above] &= ~falls
    return stands
