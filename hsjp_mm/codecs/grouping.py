"""From heat maps and tags to persons: peaks and their grouping.

Letters: B images, K keypoints, L tags a keypoint, [H, W] map size, h × w blocks of a map, M peaks
of an image, N persons. A location is y·W + x. Of the maps is read, and moved from their device: the
peaks, the tags at them, the extremes of blocks, and the pixels of a few blocks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hsjp_mm.codecs.assignment import assign
from hsjp_mm.codecs.reading import Maps


class Peaks(NamedTuple):
    """Candidates of an image, keypoint by keypoint, the strongest first."""

    keypoints: np.ndarray  # (M,) which keypoint it is of
    locations: np.ndarray  # (M,)
    scores: np.ndarray  # (M,) float32, the heat
    tags: np.ndarray  # (M, L) float32
    warmest: np.ndarray  # (K, h, w) float32, the heat of no pixel of a block is greater


def find_peaks(heatmaps: Maps, tags: Maps, kernel: int, threshold: float, top: int) -> Peaks:
    """Find the greatest values above the threshold that are maxima of the window around them.

    Of equal values the one at the lower location is first.

    Args:
        heatmaps: (K, H, W).
        tags: (L·K, H, W).
        kernel: odd side of the window.
        threshold: not negative.
        top: how many peaks of a map are kept.
    """
    num_keypoints, height, width = heatmaps.shape
    area = height * width
    pixels, scores, warmest = heatmaps.maxima(kernel, _least_above(threshold))
    keypoints, locations = np.divmod(pixels, area)
    order = np.lexsort((locations, -scores, keypoints))
    ranks = np.arange(len(order)) - np.searchsorted(keypoints[order], keypoints[order])
    order = order[ranks < top]
    keypoints, locations, scores = keypoints[order], locations[order], scores[order]
    channels = keypoints[:, None] + np.arange(0, tags.shape[0], num_keypoints)
    peak_tags = tags.take(channels * area + locations[:, None])
    return Peaks(keypoints, locations, scores, peak_tags, warmest)


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
