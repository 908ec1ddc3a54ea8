"""A sampler whose epochs have a set length."""

import itertools
from collections.abc import Iterator, Sized

import torch
from mmengine.dataset import DefaultSampler

from hsjp_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class FixedLengthSampler(DefaultSampler):
    """Epochs of ``num_samples`` samples, however many the data set holds.

    It goes through the data set again and again, in a new order each time. With it an epoch of a
    tenth of the labels takes as many iterations as one of all of them, so that loops, schedules and
    hooks that count epochs need no change. The stock DefaultSampler's epoch is the data set, and
    RepeatDataset repeats a whole number of times.

    Args:
        dataset: what to sample from.
        num_samples: of an epoch, over all processes; rounded up to a multiple of their number.
        shuffle, seed: as in DefaultSampler.

    Raises:
        ValueError: ``num_samples`` or the data set is empty.

    Examples:
        >>> train_dataloader = dict(
        ...     sampler=dict(type='hsjp_mm.FixedLengthSampler', num_samples=10_000)
        ... )
    """

    def __init__(
        self, dataset: Sized, num_samples: int, shuffle: bool = True, seed: int | None = None
    ) -> None:
        super().__init__(dataset, shuffle=shuffle, seed=seed)
        if num_samples < 1 or not len(dataset):
            raise ValueError(
                f'num_samples={num_samples} and the data set ({len(dataset)}) must be at least 1'
            )
        self.num_samples = -(-num_samples // self.world_size)
        self.total_size = self.num_samples * self.world_size

    def __iter__(self) -> Iterator[int]:
        """Go through this process's indices of an epoch."""
        generator = torch.Generator()
        generator.manual_seed(self.seed + self.epoch)
        return itertools.islice(
            self._passes(generator), self.rank, self.total_size, self.world_size
        )

    def _passes(self, generator: torch.Generator) -> Iterator[int]:
        number = len(self.dataset)
        while True:
            if self.shuffle:
                yield from torch.randperm(number, generator=generator).tolist()
            else:
                yield from range(number)
