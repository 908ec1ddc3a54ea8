"""Random numbers of a training sample that depend on its place in the order of the run alone.

MMEngine seeds a worker when it starts. What a sample's pipeline draws then depends on the number
of the workers, on what they loaded before, and on where a run was resumed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, Sampler

from hsjp_mm.ops.seeds import seed_generators


class SeededIndex(int):
    """An index of a data set, with the key of the random numbers of its sample.

    A whole number, for batch samplers look up the data set with it.
    """

    key: tuple[int | str, ...]


class SeededSampler(Sampler):
    """Another sampler's indices, each with a key of the run's seed and of its place in the order.

    The place is that among the indices of all processes: two processes draw what one does with
    batches of twice the size.

    Args:
        sampler: what to take the indices from; of a distributed run, every ``world_size``-th.
        seed: of the run.

    Attributes:
        epoch: number of the next pass over the sampler; each pass counts one up.
    """

    def __init__(self, sampler: Sampler, seed: int) -> None:
        self.sampler = sampler
        self.dataset = getattr(sampler, 'dataset', None)  # batch samplers look here
        self.seed = seed
        self.epoch = 0
        self.rank, self.world_size = get_dist_info()

    def __iter__(self) -> Iterator[SeededIndex]:
        """Go through the indices of a pass."""
        epoch = self.epoch
        self.epoch += 1
        for i, index in enumerate(self.sampler):
            seeded = SeededIndex(index)
            seeded.key = ('sample', self.seed, epoch, i * self.world_size + self.rank)
            yield seeded

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def set_epoch(self, epoch: int) -> None:
        """Tell the sampler the epoch, if it wants to know."""
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)


class SeededFetch:
    """Seed the random numbers of each sample before the data set loads it.

    Args:
        dataset: what to take the samples from.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __call__(self, indices: Sequence[int]) -> list:
        """Load the samples of a batch."""
        return [self._sample(index) for index in indices]

    def _sample(self, index: int) -> Any:
        if isinstance(index, SeededIndex):
            seed_generators(*index.key)
        return self.dataset[int(index)]


def seed_samples(loader: DataLoader, seed: int) -> SeededSampler:
    """Have a loader seed the random numbers of each sample, in its workers or without any.

    Nothing is copied or wrapped: torch asks a data set that has ``__getitems__`` for the samples of
    a batch, so the data set gets one. Mixing transforms, refetched samples and the collation draw
    from the numbers of the sample that they belong to, or of the last one. Workers that run already
    have to be started anew.

    Args:
        loader: of a data set with a length, in batches.
        seed: of the run.

    Returns:
        The sampler that now gives the loader its indices.
    """
    inner = loader.batch_sampler.sampler  # type: ignore[union-attr]
    if isinstance(inner, SeededSampler):
        inner = inner.sampler
    sampler = SeededSampler(inner, seed)
    loader.batch_sampler.sampler = sampler  # type: ignore[union-attr]
    loader.dataset.__getitems__ = SeededFetch(loader.dataset)  # type: ignore[attr-defined]
    return sampler
