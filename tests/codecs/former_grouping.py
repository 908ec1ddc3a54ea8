"""The grouping as it was before it was made faster, which the faster one equals bit for bit.

It is slower, not simpler: it takes the mean of each person's tags by itself, always asks Munkres
unless every row has one cheapest column, and bounds blocks by the first tags alone.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hsjp_mm.codecs import AssociativeEmbedding
from hsjp_mm.codecs.reading import WholeMaps
from tests.codecs.plain_munkres import plain_munkres

SEARCH_BLOCK = 8  # pixels; the result does not depend on it, the time does


class Peaks(NamedTuple):
    """Candidates of an image, keypoint by keypoint, the strongest first."""

    keypoints: np.ndarray  # (M,) which keypoint it is of
    locations: np.ndarray  # (M,)
    scores: np.ndarray  # (M,) float32, the heat
    tags: np.ndarray  # (M, L) float32


def find_peaks(
    heatmaps: Tensor, tags: Tensor, kernel: int, threshold: float, top: int
) -> list[Peaks]:
    """Find the greatest values above the threshold that are maxima of the window around them.

    Blocks are small enough for the window of each of their pixels to cover them, so only pixels
    that equal the maximum of their block come into question. Of equal values the one at the lower
    location is first.

    Args:
        heatmaps: (B, K, H, W).
        tags: (B, L·K, H, W).
        kernel: odd side of the window.
        threshold: not negative.
        top: how many peaks of a map are kept.

    Returns:
        the peaks of each image.
    """
    num_images, num_keypoints, height, width = heatmaps.shape
    size = (kernel + 1) // 2
    maxima = _reduce_blocks(heatmaps.flatten(0, 1), size, 'maximum')
    maps, rows, columns = np.nonzero(maxima >= _least_above(threshold))
    area = height * width
    pixels = maps[:, None] * area + _block_pixels(rows, columns, size, height, width)
    scores = _take(heatmaps, pixels)
    stands = scores == maxima[maps, rows, columns][:, None]
    for dy, dx in _window(kernel):
        pixels, scores = pixels[stands], scores[stands]
        maps, locations = np.divmod(pixels, area)
        y, x = np.divmod(locations, width)
        stands = values_at(heatmaps, maps, y + dy, x + dx) <= scores
    pixels, index = np.unique(pixels[stands], return_index=True)  # border blocks overlap
    scores = scores[stands][index]

    maps, locations = np.divmod(pixels, area)
    order = np.lexsort((locations, -scores, maps))
    ranks = np.arange(len(order)) - np.searchsorted(maps[order], maps[order])
    order = order[ranks < top]
    maps, locations, scores = maps[order], locations[order], scores[order]
    images, keypoints = np.divmod(maps, num_keypoints)
    first = images * tags.shape[1] + keypoints
    channels = first[:, None] + np.arange(0, tags.shape[1], num_keypoints)
    peak_tags = _take(tags, channels * area + locations[:, None])
    bounds = np.searchsorted(images, np.arange(1, num_images))
    parts = (np.split(values, bounds) for values in (keypoints, locations, scores, peak_tags))
    return [Peaks(*image) for image in zip(*parts, strict=True)]


def values_at(maps: Tensor, channels: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Read maps (…, H, W), counted through, at pixels; one beyond the border is its neighbor."""
    height, width = maps.shape[-2:]
    y, x = y.clip(0, height - 1), x.clip(0, width - 1)
    return _take(maps, (channels * height + y) * width + x)


def group_peaks(
    peaks: Peaks, keypoint_order: Sequence[int], tag_threshold: float, max_persons: int
) -> np.ndarray:
    """Give every peak to the person whose mean tag is nearest, one keypoint after another.

    The peaks of a keypoint are assigned to the persons found so far at the least total of
    100·round(tag distance) − score. One that is left over, or as far away as the threshold, starts
    a person. Persons are known by the first component of the tag that they started with: a peak
    that starts one under a known tag takes the place of that person's peak instead, and the
    person's mean tag starts anew.

    Args:
        peaks: of an image.
        keypoint_order: the K keypoints in the order in which they are grouped.
        tag_threshold: a peak at this distance from a person's mean tag is not that person's.
        max_persons: only the first so many persons are given further peaks.

    Returns:
        (N, K) the peak of each person and keypoint, −1 where it has none, in the order in which
        the persons were started.
    """
    members: dict[float, np.ndarray] = {}
    used: dict[float, list[int]] = {}
    for keypoint in keypoint_order:
        new = np.flatnonzero(peaks.keypoints == keypoint)
        if not len(new):
            continue
        known = list(members)[:max_persons]
        means = np.array([mean_tag(peaks.tags[used[key]]) for key in known])
        owners = _assign(peaks.scores[new], peaks.tags[new], means, tag_threshold)
        for peak, owner in zip(new, owners, strict=True):
            if owner is None:
                key = float(peaks.tags[peak, 0])
                members.setdefault(key, np.full(len(keypoint_order), -1))
                used[key] = []
            else:
                key = known[owner]
            members[key][keypoint] = peak
            used[key].append(peak)
    return np.array(list(members.values()), dtype=int).reshape(-1, len(keypoint_order))


def mean_tag(tags: np.ndarray) -> np.ndarray:
    """Average tags (…, L): np.mean to the bit, without what np.mean does besides."""
    return np.add.reduce(tags, axis=0) / np.float32(len(tags))


def find_missing(
    heatmap: Tensor, tags: Tensor, person_tags: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find where heat − round(tag distance) is greatest, the first of equal pixels.

    What the pixels of a block can reach is bounded by its greatest heat and its range of first
    tags. It is read only if that is not below what the first pixels of all blocks reach.

    Args:
        heatmap: (H, W) of a keypoint.
        tags: (L, H, W).
        person_tags: (P, L) mean tags of the persons that lack the keypoint.

    Returns:
        locations and heat (P,), both zero where the heat is not positive.
    """
    most = _reduce_blocks(heatmap, SEARCH_BLOCK, 'maximum').ravel()
    low = _reduce_blocks(tags[0], SEARCH_BLOCK, 'minimum').ravel()
    high = _reduce_blocks(tags[0], SEARCH_BLOCK, 'maximum').ravel()
    first = np.s_[..., ::SEARCH_BLOCK, ::SEARCH_BLOCK]
    first_tags = tags[first].flatten(1).cpu().numpy()
    differences = first_tags - person_tags[:, :, None]
    floor = _response(heatmap[first].flatten().cpu().numpy(), differences, axis=1).max(axis=1)
    # rounded as the responses are, and monotone in each step, so that it is a bound
    gaps = np.maximum(low - person_tags[:, :1], person_tags[:, :1] - high).clip(0)
    reach = most - np.round(gaps)
    warm = most > 0
    read = partial(_read_blocks, heatmap, tags, person_tags)
    response, locations, heat = read((reach >= floor[:, None]) & warm)
    known = (response >= floor) & (heat > 0)
    # Where no response is positive, that of a pixel without heat may be the greatest.
    unsure = known & (response <= 0)
    if unsure.any():
        cold, where, _ = read((reach >= response[:, None]) & ~warm & unsure[:, None])
        known &= (cold < response) | ((cold == response) & (locations <= where))
    return locations * known, heat * known


def _read_blocks(
    heatmap: Tensor, tags: Tensor, person_tags: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the chosen blocks (P, h·w) of a map for each of P persons.

    Returns:
        the greatest response, −∞ if no block is chosen; its first location; the heat there.
    """
    height, width = heatmap.shape
    persons, blocks = chosen.nonzero()
    rows, columns = np.divmod(blocks, -(-width // SEARCH_BLOCK))
    pixels = _block_pixels(rows, columns, SEARCH_BLOCK, height, width)
    values = np.stack([_take(channel, pixels) for channel in tags])
    differences = values - person_tags.T[:, persons, None]
    responses = _response(_take(heatmap, pixels), differences, axis=0)

    best = np.full(len(person_tags), -np.inf, dtype=np.float32)
    where = np.zeros(len(person_tags), dtype=int)
    present, starts = np.unique(persons, return_index=True)
    best[present] = np.maximum.reduceat(responses.max(axis=1), starts)
    first = np.where(responses == best[persons, None], pixels, height * width).min(axis=1)
    where[present] = np.minimum.reduceat(first, starts)
    return best, where, _take(heatmap, where)


def _block_pixels(
    rows: np.ndarray, columns: np.ndarray, size: int, height: int, width: int
) -> np.ndarray:
    """Locations (M, S) of the pixels of blocks; those that jut out of the map are moved inside."""
    y = np.minimum(rows * size, max(height - size, 0))
    x = np.minimum(columns * size, max(width - size, 0))
    inner = np.arange(min(size, height))[:, None] * width + np.arange(min(size, width))
    return (y * width + x)[:, None] + inner.ravel()


def _response(heat: np.ndarray, differences: np.ndarray, axis: int) -> np.ndarray:
    """Heat less the rounded length of tag differences, whose components lie along an axis."""
    return heat - np.round(np.sqrt((differences**2).sum(axis=axis)))


def as_array(maps: Tensor) -> np.ndarray | Tensor:
    """Give maps on the CPU to numpy, for torch's threads cost more than they save on such work."""
    return maps.numpy() if maps.device.type == 'cpu' else maps


def _take(maps: Tensor, index: np.ndarray) -> np.ndarray:
    """Read maps at flat indices, where they are."""
    array = as_array(maps)
    if isinstance(array, np.ndarray):
        return array.take(index)
    return array.take(torch.from_numpy(index).to(array.device)).cpu().numpy()


def _reduce_blocks(maps: Tensor, size: int, extreme: str) -> np.ndarray:
    """Reduce maps (…, H, W) to their 'maximum' or 'minimum' in blocks of size × size pixels.

    Blocks at the far borders may be smaller.
    """
    array = as_array(maps)
    reduce = getattr(np if isinstance(array, np.ndarray) else torch, extreme)
    for _ in range(2):
        reduced = reduce(array[..., ::size, :], array[..., ::size, :])
        for i in range(1, min(size, array.shape[-2])):
            part = array[..., i::size, :]
            same = reduced[..., : part.shape[-2], :]
            reduce(same, part, out=same)
        array = reduced.swapaxes(-2, -1)
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def _least_above(threshold: float) -> np.float32:
    """Find the least float32 that is greater than a float64, for comparing in float32 exactly."""
    nearest = np.float32(threshold)
    return nearest if float(nearest) > threshold else np.nextafter(nearest, np.float32(np.inf))


def _window(kernel: int) -> list[tuple[int, int]]:
    """List the offsets (dy, dx) of a window but its center, the nearest first."""
    reach = range(-(kernel // 2), kernel // 2 + 1)
    offsets = [(dy, dx) for dy in reach for dx in reach if (dy, dx) != (0, 0)]
    return sorted(offsets, key=lambda offset: offset[0] ** 2 + offset[1] ** 2)


def _assign(
    scores: np.ndarray, tags: np.ndarray, means: np.ndarray, tag_threshold: float
) -> list[int | None]:
    """Give each peak the index of a person, or None if it is none of them."""
    if not len(means):
        return [None] * len(tags)
    distances = np.linalg.norm(tags[:, None].astype(np.float64) - means, axis=2)
    rounded = np.round(distances)
    columns = rounded.argmin(axis=1)
    if not _is_only_optimum(rounded, columns):
        columns = _cheapest(rounded * 100 - scores[:, None])
    return [
        int(column) if column < len(means) and distances[row, column] < tag_threshold else None
        for row, column in enumerate(columns)
    ]


def _is_only_optimum(costs: np.ndarray, columns: np.ndarray) -> bool:
    """Tell whether every row has its least cost once, and all of them in different columns."""
    least = costs == costs.min(axis=1, keepdims=True)
    return least.sum() == len(columns) == len(np.unique(columns))


def _cheapest(costs: np.ndarray) -> np.ndarray:
    """Assign rows to columns at the least cost, with dear columns for rows that are left over.

    Rounding makes several assignments equally cheap as soon as the tags of two persons are close.
    Munkres rather than scipy's solver, for the choice among them is then that of the authors' code
    and of the stock decoder, which give it the same matrix.
    """
    spare = max(costs.shape[0] - costs.shape[1], 0)
    costs = np.hstack([costs, np.full((len(costs), spare), 1e10)])
    return np.array(plain_munkres(costs.tolist()))


class FormerEmbedding(AssociativeEmbedding):
    """The codec with the former grouping."""

    def batch_decode(self, batch_heatmaps, batch_tags):
        peaks = find_peaks(
            batch_heatmaps, batch_tags, self.decode_nms_kernel, self.decode_keypoint_thr,
            self.decode_topk,
        )  # fmt: skip
        decoded = map(self._decode_image, batch_heatmaps, batch_tags, peaks)
        return tuple(map(list, zip(*decoded, strict=True)))

    def _decode_image(self, heatmaps, tags, peaks):
        members = group_peaks(
            peaks, self.decode_keypoint_order, self.decode_tag_thr, self.decode_topk
        )[: self.decode_max_instances]
        found = members >= 0
        locations = np.zeros_like(members)
        locations[found] = peaks.locations[members[found]]
        scores = np.zeros(members.shape, np.float32)
        scores[found] = peaks.scores[members[found]]
        person_scores = scores.mean(axis=1)
        if self.refine:
            person_tags = np.array([mean_tag(peaks.tags[row[row >= 0]]) for row in members])
            for k in np.flatnonzero(~found.all(axis=0)):
                missing = np.flatnonzero(~found[:, k])
                locations[missing, k], scores[missing, k] = find_missing(
                    heatmaps[k], tags[k :: len(heatmaps)], person_tags[missing]
                )
        return self._place(WholeMaps(heatmaps), locations, scores > 0, found), scores, person_scores
