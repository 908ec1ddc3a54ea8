"""From heat maps and tags to persons: peaks, their grouping, and the search for missing keypoints.

Letters: B images, K keypoints, L tags a keypoint, [H, W] map size, h × w blocks of a map, M peaks
of an image, N persons. A location is y·W + x. Maps stay on their device: what is moved are peaks,
the tags at them, the extremes of blocks of the maps, and the pixels of a few blocks.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from munkres import Munkres
from torch import Tensor

# The result of the search for missing keypoints does not depend on these, its time does.
SEARCH_BLOCK = 8  # pixels of the side of a block
SEARCH_FIRST = (1, 8)  # blocks that are read for a person at first, and then
SEARCH_MANY = 256  # blocks to read for a person, for which bounds by all tags are worth it
SEARCH_TOGETHER = 32  # missing keypoints that are sought at once


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
    peak_tags = _take(tags, channels * area + locations[:, None])
    bounds = np.searchsorted(images, np.arange(1, num_images))
    parts = (np.split(values, bounds) for values in (keypoints, locations, scores, peak_tags))
    return [Peaks(*image) for image in zip(*parts, np.split(warmest, num_images), strict=True)]


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


def find_missing(
    heatmaps: Tensor,
    tags: Tensor,
    warmest: np.ndarray,
    keypoints: np.ndarray,
    person_tags: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Find where heat − round(tag distance) is greatest, the first of equal pixels.

    What the pixels of a block can reach is bounded by its greatest heat and its range of tags. It
    is read only if that is not below what a few blocks with great bounds hold.

    Args:
        heatmaps: (K, H, W) of an image.
        tags: (L·K, H, W).
        warmest: (K, h, w) the greatest heat of each block.
        keypoints: (Q,) missing ones, of all persons, best in ascending order.
        person_tags: (Q, L) mean tags of the persons that lack them.

    Returns:
        locations and heat (Q,), both zero where the heat is not positive.
    """
    locations, heat = np.zeros(len(keypoints), int), np.zeros(len(keypoints), np.float32)
    for start in range(0, len(keypoints), SEARCH_TOGETHER):
        part = np.s_[start : start + SEARCH_TOGETHER]
        locations[part], heat[part] = _search(
            heatmaps, tags, warmest[keypoints[part]], keypoints[part], person_tags[part]
        )
    return locations, heat


def _search(
    heatmaps: Tensor,
    tags: Tensor,
    warmest: np.ndarray,
    keypoints: np.ndarray,
    person_tags: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Find missing keypoints, as find_missing, for as many as fit the cache; warmest (Q, h, w)."""
    gap = _gap(tags, keypoints, person_tags[:, 0])
    penalties = np.round(gap)
    warm = warmest > 0
    read = partial(_read_blocks, heatmaps, tags, keypoints, person_tags)
    bounds = np.where(warm, warmest - penalties, -np.inf)
    floor = np.full(len(keypoints), -np.inf, np.float32)
    for number in SEARCH_FIRST:
        floor = np.maximum(floor, read(penalties, floor, _likely(bounds, number) & warm)[0])
    chosen = warm & (bounds >= floor[:, None, None])
    many = np.flatnonzero(np.count_nonzero(chosen, axis=(1, 2)) > SEARCH_MANY)
    if len(many) and person_tags.shape[1] > 1:
        gaps = [gap[many]]
        for n in range(1, person_tags.shape[1]):
            channels = n * len(heatmaps) + keypoints[many]
            gaps.append(_gap(tags, channels, person_tags[many, n]))
        penalties[many] = _rounded_length(np.stack(gaps))
        chosen[many] &= warmest[many] - penalties[many] >= floor[many, None, None]
    response, locations, heat = read(penalties, floor, chosen)
    known = heat > 0
    # Where no response is positive, that of a pixel without heat may be the greatest.
    unsure = known & (response <= 0)
    if unsure.any():
        cold = (warmest - penalties >= response[:, None, None]) & ~warm & unsure[:, None, None]
        others, where, _ = read(penalties, response, cold)
        known &= (others < response) | ((others == response) & (locations <= where))
    return locations * known, heat * known


def _gap(tags: Tensor, channels: np.ndarray, person_tags: np.ndarray) -> np.ndarray:
    """How far the blocks of tag maps (Q,) are at least from the tags (Q,) of persons: (Q, h, w).

    It is rounded as the differences of tags are, so that it is a bound to the bit.
    """
    wanted, rows = np.unique(channels, return_inverse=True)
    extremes = [(tags[k], extreme) for k in wanted.tolist() for extreme in ('minimum', 'maximum')]
    blocks = _reduce_blocks(*extremes)
    own = person_tags[:, None, None]
    return np.maximum(blocks[2 * rows] - own, own - blocks[2 * rows + 1]).clip(0)


def _likely(bounds: np.ndarray, number: int) -> np.ndarray:
    """Choose a number of blocks with great bounds (P, h, w), each from another row of blocks."""
    best = bounds.max(axis=2)
    rows = np.argsort(-best, axis=1)[:, :number]
    likely = np.zeros(bounds.shape, bool)
    persons = np.arange(len(bounds))[:, None]
    likely[persons, rows, bounds[persons, rows].argmax(axis=2)] = True
    return likely


def _read_blocks(
    heatmaps: Tensor,
    tags: Tensor,
    keypoints: np.ndarray,
    person_tags: np.ndarray,
    penalties: np.ndarray,
    least: np.ndarray,
    chosen: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the chosen blocks of the maps of Q keypoints, each for the person that lacks it.

    Args:
        heatmaps, tags, keypoints, person_tags: as for find_missing.
        penalties: (Q, h, w) what is at least taken from the heat in a block.
        least: (Q,) lower responses need not be found.
        chosen: (Q, h, w) the blocks.

    Returns:
        the greatest response, −∞ if there is none; its first location; the heat there.
    """
    num_keypoints, height, width = heatmaps.shape
    maps = keypoints * height * width
    blocks = np.flatnonzero(chosen)  # in one dimension this is much faster
    pairs, places = np.divmod(blocks, chosen[0].size)
    pixels = _block_pixels(*np.divmod(places, chosen.shape[2]), SEARCH_BLOCK, height, width)
    heat = _take(heatmaps, maps[pairs, None] + pixels)
    enough = np.flatnonzero(heat - penalties.take(blocks)[:, None] >= least[pairs, None])
    pairs = pairs[enough // pixels.shape[1]]
    pixels, heat = pixels.take(enough), heat.take(enough)
    squares = np.zeros(len(heat), np.float32)
    for n, own in enumerate(person_tags.T):
        first = n * num_keypoints * height * width + maps[pairs]
        squares = squares + (_take(tags, first + pixels) - own[pairs]) ** 2
        responses = heat - np.round(np.sqrt(squares))
        # further tags only add to the distance
        enough = np.flatnonzero(responses >= least[pairs])
        pairs, pixels, heat, squares, responses = (
            values[enough] for values in (pairs, pixels, heat, squares, responses)
        )

    best = np.full(len(person_tags), -np.inf, dtype=np.float32)
    where = np.zeros(len(person_tags), dtype=int)
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    present = pairs[starts]
    best[present] = np.maximum.reduceat(responses, starts)
    first = np.where(responses == best[pairs], pixels, height * width)
    where[present] = np.minimum.reduceat(first, starts)
    return best, where, _take(heatmaps, maps + where)


def _block_pixels(
    rows: np.ndarray, columns: np.ndarray, size: int, height: int, width: int
) -> np.ndarray:
    """Locations (M, S) of the pixels of blocks; those that jut out of the map are moved inside."""
    y = np.minimum(rows * size, max(height - size, 0))
    x = np.minimum(columns * size, max(width - size, 0))
    inner = np.arange(min(size, height))[:, None] * width + np.arange(min(size, width))
    return (y * width + x)[:, None] + inner.ravel()


def _rounded_length(differences: np.ndarray) -> np.ndarray:
    """Round the lengths of tag differences (L, …). No less is taken from the heat for any L."""
    return np.round(np.sqrt((differences**2).sum(axis=0)))


def as_array(maps: Tensor) -> np.ndarray | Tensor:
    """Give maps on the CPU to numpy, for torch's threads cost more than they save on such work."""
    return maps.numpy() if maps.device.type == 'cpu' else maps


def _take(maps: Tensor, index: np.ndarray) -> np.ndarray:
    """Read maps at flat indices, where they are."""
    array = as_array(maps)
    if isinstance(array, np.ndarray):
        return array.take(index)
    return array.take(torch.from_numpy(index).to(array.device)).cpu().numpy()


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
        warmest = _reduce_blocks(*((one, 'maximum') for one in maps))
        return pixels, _take(maps, pixels), warmest
    # both of a map, and then the next, for a map is in the cache by then
    parts = [(*_row_maxima(one, reach, least), _reduce(one, 'maximum')) for one in array]
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
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels of a map (H, W) that may be maxima of their windows.

    Strips of rows are reduced to their maxima, low enough for the window of each of their pixels
    to cover them. Of these, only those are looked at that are maxima along their strip.

    Returns:
        locations and values.
    """
    height, width = heatmap.shape
    size = reach + 1
    strips = np.full((-(-height // size), width + reach), -np.inf, np.float32)  # −∞ ends each
    strips[:, :width] = heatmap[::size]
    for i in range(1, min(size, height)):
        part = heatmap[i::size]
        same = strips[: len(part), :width]
        np.maximum(same, part, out=same)
    cells = np.flatnonzero(strips >= least)
    values = strips.take(cells)
    for offset in sorted({*range(-reach, size)} - {0}, key=abs):
        stands = strips.take(cells + offset, mode='wrap') <= values
        cells, values = cells[stands], values[stands]
    rows, x = np.divmod(cells[:, None], strips.shape[1])
    y = rows * size + np.arange(size)
    pixels = heatmap[y.clip(max=height - 1), x]
    stands = (pixels == values[:, None]) & (y < height)
    return (y * width + x)[stands], pixels[stands]


def _reduce_blocks(*wanted: tuple[Tensor, str]) -> np.ndarray:
    """Reduce maps (H, W), where they are, to the 'maximum' or 'minimum' of their blocks, (…, h, w).

    Blocks at the far borders may be smaller.
    """
    reduced: list[Any] = [_reduce(as_array(channel), extreme) for channel, extreme in wanted]
    if isinstance(reduced[0], np.ndarray):
        return np.stack(reduced)
    return torch.stack(reduced).cpu().numpy()


def _reduce(array: Any, extreme: str) -> Any:
    """Reduce an array or a tensor, which have these operations in common."""
    pick = getattr(np if isinstance(array, np.ndarray) else torch, extreme)
    for _ in range(2):
        reduced = pick(array[::SEARCH_BLOCK], array[::SEARCH_BLOCK])
        for i in range(1, min(SEARCH_BLOCK, len(array))):
            part = array[i::SEARCH_BLOCK]
            same = reduced[: len(part)]
            pick(same, part, out=same)
        array = reduced.T
    return array


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
    columns = _cheapest(np.round(distances) * 100 - scores[:, None])
    persons = columns.clip(max=len(means) - 1)
    near = distances[np.arange(len(tags)), persons] < tag_threshold
    return np.where(near & (columns < len(means)), columns, -1).tolist()


def _cheapest(costs: np.ndarray) -> np.ndarray:
    """Assign rows to columns at the least cost, with dear columns for rows that are left over.

    Rounding makes several assignments equally cheap as soon as the tags of two persons are close.
    Munkres rather than scipy's solver, for the choice among them is then that of the authors' code
    and of the stock decoder, which give it the same matrix. It starts by giving each row the first
    free one of its cheapest columns, and if all rows get one, ends with that.
    """
    columns = _first_free(costs == costs.min(axis=1, keepdims=True))
    if columns is not None:
        return columns
    spare = max(costs.shape[0] - costs.shape[1], 0)
    costs = np.hstack([costs, np.full((len(costs), spare), 1e10)])
    return np.array(Munkres().compute(costs))[:, 1]


def _first_free(allowed: np.ndarray) -> np.ndarray | None:
    """Give each row the first column allowed to it that no earlier row has, if all get one."""
    columns: list[int] = []
    free = np.ones(allowed.shape[1], bool)
    for row in allowed:
        possible = row & free
        column = int(possible.argmax())
        if not possible[column]:
            return None
        columns.append(column)
        free[column] = False
    return np.array(columns)
