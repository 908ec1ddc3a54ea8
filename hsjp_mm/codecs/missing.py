"""The search for the keypoints that the grouping found no peak for.

Letters as in ``grouping.py``, and Q missing keypoints, each of a person.
"""

from functools import partial

import numpy as np
from torch import Tensor

from hsjp_mm.codecs.reading import BLOCK, block_pixels, reduce_blocks, row_extremes, take

# The result of the search does not depend on these, its time does.
SEARCH_FIRST = (1, 8)  # blocks that are read for a person at first, and then
SEARCH_MANY = 256  # blocks to read for a person, for which bounds by all tags are worth it
SEARCH_DENSE = 0.5  # the share of the blocks of a map from which on all of them are reduced
SEARCH_TOGETHER = 64  # missing keypoints that are sought at once


def find_missing(
    heatmaps: Tensor,
    tags: Tensor,
    warmest: np.ndarray,
    keypoints: np.ndarray,
    person_tags: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Find where heat − round(tag distance) is greatest, the first of equal pixels.

    A few blocks, chosen by their greatest heat and by one tag of each, tell what can be reached at
    least. What the pixels of the blocks that are warm enough can reach is bounded by their greatest
    heat and their range of tags. A block is read only if this is not below.

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
    num_pairs, rows, columns = warmest.shape
    size = rows * columns
    read = partial(_read_blocks, heatmaps, tags, keypoints, person_tags, (rows, columns))
    gaps_to = partial(_gaps, tags, shape=(rows, columns))
    floor = np.full(num_pairs, -np.inf, np.float32)
    promise = _promise(tags, warmest, keypoints, person_tags[:, 0])
    for number in SEARCH_FIRST:
        blocks = _likely(promise, number)
        blocks = blocks[warmest.take(blocks) > 0]
        floor = np.maximum(floor, read(blocks, np.zeros(len(blocks), np.float32), floor)[0])
    blocks = np.flatnonzero(warmest >= floor[:, None, None])
    blocks = blocks[warmest.take(blocks) > 0]
    gap = gaps_to(keypoints, person_tags[:, 0], blocks)
    penalties = np.round(gap)
    chosen = np.flatnonzero(warmest.take(blocks) - penalties >= floor[blocks // size])
    blocks, gap, penalties = blocks[chosen], gap[chosen], penalties[chosen]
    pairs = blocks // size
    many = np.flatnonzero((np.bincount(pairs, minlength=num_pairs) > SEARCH_MANY)[pairs])
    if len(many) and person_tags.shape[1] > 1:
        gaps = [gap[many]]
        for n in range(1, person_tags.shape[1]):
            channels = n * len(heatmaps) + keypoints
            gaps.append(gaps_to(channels, person_tags[:, n], blocks[many]))
        penalties[many] = _rounded_length(np.stack(gaps))
        chosen = np.flatnonzero(warmest.take(blocks) - penalties >= floor[pairs])
        blocks, penalties = blocks[chosen], penalties[chosen]
    response, locations, heat = read(blocks, penalties, floor)
    known = heat > 0
    # Where no response is positive, that of a pixel without heat may be the greatest.
    unsure = known & (response <= 0)
    if unsure.any():
        blocks = np.flatnonzero((warmest <= 0) & unsure[:, None, None])
        penalties = np.round(gaps_to(keypoints, person_tags[:, 0], blocks))
        chosen = np.flatnonzero(warmest.take(blocks) - penalties >= response[blocks // size])
        others, where, _ = read(blocks[chosen], penalties[chosen], response)
        known &= (others < response) | ((others == response) & (locations <= where))
    return locations * known, heat * known


def _promise(
    tags: Tensor, warmest: np.ndarray, keypoints: np.ndarray, person_tags: np.ndarray
) -> np.ndarray:
    """Guess what blocks hold for persons from their greatest heat and the tag in their middle.

    Args:
        tags, keypoints: as for find_missing.
        warmest: (Q, h, w).
        person_tags: (Q,) the first tag of each person.

    Returns:
        (Q, h, w).
    """
    promise = _middles(tags, keypoints)
    promise -= person_tags[:, None, None]
    np.round(np.abs(promise, out=promise), out=promise)
    return np.subtract(warmest, promise, out=promise)


def _middles(tags: Tensor, keypoints: np.ndarray) -> np.ndarray:
    """Read a tag near the middle of each block of the tag maps of keypoints (Q,): (Q, h, w)."""
    rows, columns = (
        np.arange(BLOCK // 2, side + BLOCK // 2, BLOCK).clip(max=side - 1)
        for side in tags.shape[1:]
    )
    wanted, places = np.unique(keypoints, return_inverse=True)
    pixels = (wanted[:, None, None] * tags.shape[1] + rows[:, None]) * tags.shape[2] + columns
    return take(tags, pixels)[places]


def _gaps(
    tags: Tensor,
    channels: np.ndarray,
    person_tags: np.ndarray,
    blocks: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray:
    """How far blocks (M,) of tag maps (Q,) are at least from the tags (Q,) of persons: (M,).

    It is rounded as the differences of tags are, so that it is a bound to the bit.

    Args:
        tags: as for find_missing.
        channels: (Q,) which of them.
        person_tags: (Q,)
        blocks: (M,), counted through the Q maps of h × w blocks.
        shape: h and w.
    """
    pairs, places = np.divmod(blocks, shape[0] * shape[1])
    wanted, rows = np.unique(channels, return_inverse=True)
    keys = rows[pairs] * (shape[0] * shape[1]) + places
    asked = np.zeros((len(wanted), *shape), bool)
    asked.reshape(-1)[keys] = True
    lowest, highest = _extremes(tags, wanted, asked)[:, keys]
    own = person_tags[pairs]
    return np.maximum(lowest - own, own - highest).clip(0)


def _extremes(tags: Tensor, channels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Find the least and the greatest value of blocks of maps (C,).

    Args:
        tags: as for find_missing.
        channels: (C,) which of them.
        asked: (C, h, w) which blocks; it is changed.

    Returns:
        (2, C·h·w), with anything for what was not asked for.
    """
    extremes = np.empty((2, *asked.shape), np.float32)
    dense = asked.mean(axis=(1, 2)) > SEARCH_DENSE
    if dense.any():
        wanted = channels[dense].tolist()
        reduced = reduce_blocks(*((tags[k], way) for way in ('minimum', 'maximum') for k in wanted))
        extremes[:, dense] = reduced.reshape(2, -1, *asked.shape[1:])
        asked[dense] = False
    extremes = extremes.reshape(2, -1)
    blocks = np.flatnonzero(asked)
    maps, places = np.divmod(blocks, asked[0].size)
    height, width = tags.shape[1:]
    pixels = block_pixels(*np.divmod(places, asked.shape[2]), height, width)
    pixels += (channels * height * width)[maps, None]
    extremes[:, blocks] = row_extremes(tags, pixels)
    return extremes


def _likely(promise: np.ndarray, number: int) -> np.ndarray:
    """Choose a number of blocks that promise much of (Q, h, w), each from another row of blocks.

    Returns:
        flat indices, in ascending order.
    """
    num_pairs, _, width = promise.shape
    best = promise.max(axis=2)
    rows = np.argsort(-best, axis=1)[:, :number] + np.arange(num_pairs)[:, None] * best.shape[1]
    rows = rows.ravel()
    return np.sort(rows * width + promise.reshape(-1, width)[rows].argmax(axis=1))


def _read_blocks(
    heatmaps: Tensor,
    tags: Tensor,
    keypoints: np.ndarray,
    person_tags: np.ndarray,
    shape: tuple[int, int],
    blocks: np.ndarray,
    penalties: np.ndarray,
    least: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read blocks of the maps of Q keypoints, each for the person that lacks it.

    Args:
        heatmaps, tags, keypoints, person_tags: as for find_missing.
        shape: h and w.
        blocks: (M,), counted through the Q maps of h × w blocks, in ascending order.
        penalties: (M,) what is at least taken from the heat in each.
        least: (Q,) lower responses need not be found.

    Returns:
        the greatest response, −∞ if there is none; its first location; the heat there.
    """
    num_keypoints, height, width = heatmaps.shape
    maps = keypoints * height * width
    pairs, places = np.divmod(blocks, shape[0] * shape[1])
    pixels = block_pixels(*np.divmod(places, shape[1]), height, width)
    heat = take(heatmaps, maps[pairs, None] + pixels)
    enough = np.flatnonzero(heat - penalties[:, None] >= least[pairs, None])
    pairs = pairs[enough // pixels.shape[1]]
    pixels, heat = pixels.take(enough), heat.take(enough)
    squares = np.zeros(len(heat), np.float32)
    for n, own in enumerate(person_tags.T):
        first = n * num_keypoints * height * width + maps[pairs]
        squares = squares + (take(tags, first + pixels) - own[pairs]) ** 2
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
    return best, where, take(heatmaps, maps + where)


def _rounded_length(differences: np.ndarray) -> np.ndarray:
    """Round the lengths of tag differences (L, …). No less is taken from the heat for any L."""
    return np.round(np.sqrt((differences**2).sum(axis=0)))
