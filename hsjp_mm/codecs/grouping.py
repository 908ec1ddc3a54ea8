"""From heat maps and tags to persons: peaks and their grouping.

Letters: B images, K keypoints, L tags a keypoint, [H, W] map size, h × w blocks of a map, M peaks
of an image, N persons. A location is y·W + x. Maps stay on their device: what is moved are peaks,
the tags at them, the extremes of blocks of the maps, and the pixels of a few blocks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hsjp_mm.codecs.assignment import assign
from hsjp_mm.codecs.reading import BLOCK, as_array, reduce_blocks, reduce_map, take, values_at


class Peaks(NamedTuple):
    """Candidates of an image, keypoint by keypoint, the strongest first."""

    keypoints: np.ndarray  # (M,) which keypoint it is of
    locations: np.ndarray  # (M,)
    scores: np.ndarray  # (M,) float32, the heat
    tags: np.ndarray  # (M, L) float32
    warmest: np.ndarray  # (K, h, w) float32, the greatest heat of each block


def find_peaks(
    heatmaps: Tensor, tags: Tensor, kernel: int, threshold: float, top: int
) -> list[Peaks]:
    """Find the greatest values above the threshold that are maxima of the window around them.

    Of equal values the one at the lower location is first.

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
    area = height * width
    pixels, scores, warmest = _maxima(heatmaps.flatten(0, 1), kernel, _least_above(threshold))
    maps, locations = np.divmod(pixels, area)
    order = np.lexsort((locations, -scores, maps))
    ranks = np.arange(len(order)) - np.searchsorted(maps[order], maps[order])
    order = order[ranks < top]
    maps, locations, scores = maps[order], locations[order], scores[order]
    images, keypoints = np.divmod(maps, num_keypoints)
    first = images * tags.shape[1] + keypoints
    channels = first[:, None] + np.arange(0, tags.shape[1], num_keypoints)
    peak_tags = take(tags, channels * area + locations[:, None])
    bounds = np.searchsorted(images, np.arange(1, num_images))
    parts = (np.split(values, bounds) for values in (keypoints, locations, scores, peak_tags))
    return [Peaks(*image) for image in zip(*parts, np.split(warmest, num_images), strict=True)]


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
    rows: dict[float, int] = {}
    shape = len(peaks.scores), len(keypoint_order)
    members = np.full(shape, -1)
    used = np.zeros(shape, int)  # the peaks of the mean tag, as they came, and their number
    counts = np.zeros(len(members), int)
    for keypoint in keypoint_order:
        new = np.flatnonzero(peaks.keypoints == keypoint)
        if not len(new):
            continue
        known = np.s_[: min(len(rows), max_persons)]
        means = mean_tags(peaks.tags, used[known], counts[known])
        owners = _assign(peaks.scores[new], peaks.tags[new], means, tag_threshold)
        for peak, owner in zip(new, owners, strict=True):
            if owner < 0:
                owner = rows.setdefault(float(peaks.tags[peak, 0]), len(rows))
                counts[owner] = 0
            members[owner, keypoint] = peak
            used[owner, counts[owner]] = peak
            counts[owner] += 1
    return members[: len(rows)]


def mean_tags(tags: np.ndarray, used: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average the tags (M, L) that each person used: np.mean of each to the bit, all at once.

    Args:
        tags: of the peaks.
        used: (N, K) peaks of the persons, of which the first so many count ...
        counts: (N,) ... as are given here, at least one.

    Returns:
        (N, L).
    """
    means = np.empty((len(used), tags.shape[1]), np.float32)
    for count in np.unique(counts):
        alike = counts == count  # summed together, for padding would change the order of the sum
        means[alike] = np.add.reduce(tags[used[alike, :count]], axis=1) / np.float32(count)
    return means


def _maxima(
    maps: Tensor, kernel: int, least: np.float32
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pixels of maps (M, H, W) that nothing in the window around them exceeds.

    Args:
        maps: on any device; from another than the CPU only what is returned is moved.
        kernel: odd side of the window.
        least: what they must reach.

    Returns:
        flat indices and values; and the greatest value of each block (M, h, w).
    """
    _, height, width = maps.shape
    reach = kernel // 2
    array = as_array(maps)
    if not isinstance(array, np.ndarray):
        window = torch.nn.functional.max_pool2d(maps, kernel, 1, reach)
        found = ((maps == window) & (maps >= float(least))).flatten().nonzero().flatten()
        pixels = found.cpu().numpy()
        warmest = reduce_blocks(*((one, 'maximum') for one in maps))
        return pixels, take(maps, pixels), warmest
    parts = [_row_maxima(one, reach, least) for one in array]
    *candidates, blocks = zip(*parts, strict=True)
    channels = np.repeat(np.arange(len(parts)), [len(scores) for scores in candidates[1]])
    locations, scores = map(np.concatenate, candidates)
    side = np.arange(-reach, reach + 1)
    for dy in sorted(side, key=abs):
        y, x = np.divmod(locations[:, None], width)
        stands = values_at(maps, channels[:, None], y + dy, x + side).max(axis=1) <= scores
        channels, locations, scores = channels[stands], locations[stands], scores[stands]
    return channels * height * width + locations, scores, np.stack(blocks)


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
    warmest = reduce_map(inside, 'maximum', BLOCK // size)
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


def _least_above(threshold: float) -> np.float32:
    """Find the least float32 that is greater than a float64, for comparing in float32 exactly."""
    nearest = np.float32(threshold)
    return nearest if float(nearest) > threshold else np.nextafter(nearest, np.float32(np.inf))


def _assign(
    scores: np.ndarray, tags: np.ndarray, means: np.ndarray, tag_threshold: float
) -> list[int]:
    """Give each peak the index of a person, or −1 if it is none of them."""
    if not len(means):
        return [-1] * len(tags)
    distances = np.linalg.norm(tags[:, None].astype(np.float64) - means, axis=2)
    # Rounding makes several assignments equally cheap as soon as the tags of two persons are close.
    costs = np.round(distances) * 100 - scores[:, None]
    spare = max(costs.shape[0] - costs.shape[1], 0)  # dear columns for rows that are left over
    columns = assign(np.hstack([costs, np.full((len(costs), spare), 1e10)]))
    persons = columns.clip(max=len(means) - 1)
    near = distances[np.arange(len(tags)), persons] < tag_threshold
    return np.where(near & (columns < len(means)), columns, -1).tolist()
