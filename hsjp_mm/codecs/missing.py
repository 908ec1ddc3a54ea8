"""The search for the keypoints that the grouping found no peak for.

Letters as in ``grouping.py``, and Q missing keypoints, each of a person.
"""

from dataclasses import dataclass

import numpy as np

from hsjp_mm.codecs.reading import Maps

# The result of the search does not depend on these, its time does.
SEARCH_FIRST = (1, 8)  # blocks that are read for a person at first, and then
SEARCH_MANY = 256  # blocks to read for a person, for which bounds by all tags are worth it
SEARCH_TOGETHER = 64  # missing keypoints that are sought at once


def find_missing(
    heatmaps: Maps,
    tags: Maps,
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
        warmest: (K, h, w) the heat of no pixel of a block is greater.
        keypoints: (Q,) missing ones, of all persons, best in ascending order.
        person_tags: (Q, L) mean tags of the persons that lack them.

    Returns:
        locations and heat (Q,), both zero where the heat is not positive.
    """
    locations, heat = np.zeros(len(keypoints), int), np.zeros(len(keypoints), np.float32)
    for start in range(0, len(keypoints), SEARCH_TOGETHER):
        part = np.s_[start : start + SEARCH_TOGETHER]
        search = _Search(
            heatmaps, tags, warmest[keypoints[part]], keypoints[part], person_tags[part]
        )
        locations[part], heat[part] = search.find()
    return locations, heat


@dataclass(frozen=True)
class _Search:
    """The search for as many missing keypoints as fit the cache.

    Blocks (M,) are counted through the Q maps of h × w of them, in ascending order.

    Attributes:
        heatmaps, tags, keypoints, person_tags: As for find_missing.
        warmest: (Q, h, w) the bounds of the heat, of the map of each missing keypoint.
    """

    heatmaps: Maps
    tags: Maps
    warmest: np.ndarray
    keypoints: np.ndarray
    person_tags: np.ndarray

    def find(self) -> tuple[np.ndarray, np.ndarray]:
        """Find locations and heat (Q,), both zero where the heat is not positive."""
        floor = self._floor()
        response, locations, heat = self._read(*self._candidates(floor), floor)
        known = heat > 0
        # Where no response is positive, that of a pixel without heat may be the greatest.
        unsure = known & (response <= 0)
        if unsure.any():
            blocks = np.flatnonzero((self.warmest <= 0) & unsure[:, None, None])
            penalties = np.round(self._gaps(0, blocks))
            kept = self._above(blocks, penalties, response)
            others, where, _ = self._read(blocks[kept], penalties[kept], response)
            known &= (others < response) | ((others == response) & (locations <= where))
        return locations * known, heat * known

    def _floor(self) -> np.ndarray:
        """The best response (Q,) in a few blocks of high guesses, −∞ where they are cold."""
        floor = np.full(len(self.warmest), -np.inf, np.float32)
        guesses = self._guesses()
        for number in SEARCH_FIRST:
            blocks = self._warm(_highest(guesses, number))
            floor = np.maximum(
                floor, self._read(blocks, np.zeros(len(blocks), np.float32), floor)[0]
            )
        return floor

    def _guesses(self) -> np.ndarray:
        """Guess what blocks (Q, h, w) hold from their greatest heat and the tag in their middle."""
        wanted, places = np.unique(self.keypoints, return_inverse=True)
        guesses = self.tags.middles(wanted)[places]
        guesses -= self.person_tags[:, :1, None]
        np.round(np.abs(guesses, out=guesses), out=guesses)
        return np.subtract(self.warmest, guesses, out=guesses)

    def _candidates(self, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blocks that may hold the best response, of at least floor (Q,), and their penalties.

        The range of one tag bounds all of them. Where that leaves many blocks of a map, the other
        tags are looked at as well.
        """
        blocks = self._warm(np.flatnonzero(self.warmest >= floor[:, None, None]))
        gap = self._gaps(0, blocks)
        penalties = np.round(gap)
        kept = self._above(blocks, penalties, floor)
        blocks, gap, penalties = blocks[kept], gap[kept], penalties[kept]
        pairs = self._pairs(blocks)
        many = np.flatnonzero((np.bincount(pairs, minlength=len(floor)) > SEARCH_MANY)[pairs])
        if not len(many) or self.person_tags.shape[1] == 1:
            return blocks, penalties
        others = [self._gaps(n, blocks[many]) for n in range(1, self.person_tags.shape[1])]
        penalties[many] = _rounded_length(np.stack([gap[many], *others]))
        kept = self._above(blocks, penalties, floor)
        return blocks[kept], penalties[kept]

    def _pairs(self, blocks: np.ndarray) -> np.ndarray:
        """Of which of the Q missing keypoints blocks are."""
        return blocks // self.warmest[0].size

    def _warm(self, blocks: np.ndarray) -> np.ndarray:
        return blocks[self.warmest.take(blocks) > 0]

    def _above(self, blocks: np.ndarray, penalties: np.ndarray, least: np.ndarray) -> np.ndarray:
        """Which of blocks may reach the least response (Q,), after penalties (M,)."""
        return np.flatnonzero(self.warmest.take(blocks) - penalties >= least[self._pairs(blocks)])

    def _gaps(self, n: int, blocks: np.ndarray) -> np.ndarray:
        """How far the n-th tags of blocks (M,) are at least from those of the persons: (M,).

        It is rounded as the differences of tags are, so that it is a bound to the bit.
        """
        shape = self.warmest.shape[1:]
        pairs, places = np.divmod(blocks, shape[0] * shape[1])
        channels = n * self.heatmaps.shape[0] + self.keypoints
        wanted, rows = np.unique(channels, return_inverse=True)
        keys = rows[pairs] * (shape[0] * shape[1]) + places
        asked = np.zeros((len(wanted), *shape), bool)
        asked.reshape(-1)[keys] = True
        lowest, highest = self.tags.extremes(wanted, asked)[:, keys]
        own = self.person_tags[pairs, n]
        return np.maximum(lowest - own, own - highest).clip(0)

    def _read(
        self, blocks: np.ndarray, penalties: np.ndarray, least: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read blocks of the maps of keypoints, each for the person that lacks it.

        Args:
            blocks: (M,)
            penalties: (M,) what is at least taken from the heat in each.
            least: (Q,) lower responses need not be found.

        Returns:
            the greatest response (Q,), −∞ if there is none; its first location; the heat there.
        """
        num_keypoints, height, width = self.heatmaps.shape
        maps = self.keypoints * height * width
        pairs, places = np.divmod(blocks, self.warmest[0].size)
        pixels = self.heatmaps.block_pixels(places)
        heat = self.heatmaps.take_blocks(self.keypoints[pairs], places)
        enough = np.flatnonzero(heat - penalties[:, None] >= least[pairs, None])
        pairs = pairs[enough // pixels.shape[1]]
        pixels, heat = pixels.take(enough), heat.take(enough)
        squares = np.zeros(len(heat), np.float32)
        for n, own in enumerate(self.person_tags.T):
            first = n * num_keypoints * height * width + maps[pairs]
            squares = squares + (self.tags.take(first + pixels) - own[pairs]) ** 2
            responses = heat - np.round(np.sqrt(squares))
            # further tags only add to the distance
            enough = np.flatnonzero(responses >= least[pairs])
            pairs, pixels, heat, squares, responses = (
                values[enough] for values in (pairs, pixels, heat, squares, responses)
            )

        best = np.full(len(maps), -np.inf, dtype=np.float32)
        where = np.zeros(len(maps), dtype=int)
        starts = np.flatnonzero(np.diff(pairs, prepend=-1))
        present = pairs[starts]
        best[present] = np.maximum.reduceat(responses, starts)
        first = np.where(responses == best[pairs], pixels, height * width)
        where[present] = np.minimum.reduceat(first, starts)
        return best, where, self.heatmaps.take(maps + where)


def _highest(guesses: np.ndarray, number: int) -> np.ndarray:
    """Choose a number of blocks (Q, h, w) of high guesses, each from another row of blocks.

    Returns:
        flat indices, in ascending order.
    """
    num_pairs, _, width = guesses.shape
    best = guesses.max(axis=2)
    rows = np.argsort(-best, axis=1)[:, :number] + np.arange(num_pairs)[:, None] * best.shape[1]
    rows = rows.ravel()
    return np.sort(rows * width + guesses.reshape(-1, width)[rows].argmax(axis=1))


def _rounded_length(differences: np.ndarray) -> np.ndarray:
    """Round the lengths of tag differences (L, …). No less is taken from the heat for any L."""
    return np.round(np.sqrt((differences**2).sum(axis=0)))
