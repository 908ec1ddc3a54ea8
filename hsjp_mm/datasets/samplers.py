"""Samplers whose epochs have a set length, of one data set or of several by shares."""

import itertools
from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np
import torch
from mmengine.dataset import DefaultSampler

from hsjp_mm.datasets.instances import STORED, Instances
from hsjp_mm.registry import DATA_SAMPLERS
from hsjp_mm.utils.numbers import require_whole


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
        require_whole('num_samples', num_samples)
        if not len(dataset):
            raise ValueError('the data set must have at least 1 sample, and has none')
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


@DATA_SAMPLERS.register_module()
class SharesSampler(FixedLengthSampler):
    """Epochs of ``num_samples`` samples, of which each part of the data has a stated share.

    The data set is made of others, such as MMEngine's ConcatDataset. Each part is gone through in a
    random order again and again, on over the end of an epoch, so that none of its samples comes a
    second time before all have come once. What an epoch holds depends on the seed and its number
    alone: a resumed run goes on as if it had not stopped, and the processes share one order.

    MMPose has two of its kind. MultiSourceSampler begins anew in each process when a run is
    resumed, and the data set sets the length of its epochs; the ``sample_ratio_factor`` of
    CombinedDataset draws at random within an index, from each worker's own random state.

    Args:
        dataset: made of others; or a ``LabelSubset`` of such a one.
        num_samples: of an epoch, over all processes; rounded up to a multiple of their number.
        shares: of each part in the order of the parts; they sum to 1.
        shuffle: if not, the parts come one after the other, each in its order.
        seed: as in DefaultSampler.

    Attributes:
        counts: how many samples of an epoch are of each part.

    Raises:
        TypeError: the data set is not made of others.
        ValueError: an argument outside its range; an empty part with a share.

    Examples:
        >>> sampler = dict(type='hsjp_mm.SharesSampler', num_samples=10_000, shares=[0.3, 0.7])
        >>> train_dataloader = dict(
        ...     sampler=sampler,
        ...     dataset=dict(type='ConcatDataset', datasets=['one data set', 'another one']),
        ... )
    """

    def __init__(
        self,
        dataset: Sized,
        num_samples: int,
        shares: Sequence[float],
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(dataset, num_samples, shuffle, seed)
        self.sizes = _sizes_of_parts(dataset)
        if len(shares) != len(self.sizes):
            raise ValueError(
                f'shares={list(shares)} must be one for each of the {len(self.sizes)} parts of the '
                'data set'
            )
        if not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-6):  # nor NaN
            raise ValueError(f'shares={list(shares)} must be 0 or more, and sum to 1')
        if empty := [i for i, size in enumerate(self.sizes) if not size and shares[i]]:
            raise ValueError(f'shares={list(shares)}: part {empty[0]} of the data set is empty')
        self.counts = _whole_shares(shares, self.total_size)

    def __iter__(self) -> Iterator[int]:
        """Go through this process's indices of an epoch."""
        starts = np.cumsum([0, *self.sizes])
        indices = np.concatenate(
            [start + self._indices(part) for part, start in enumerate(starts[:-1])]
        )
        if self.shuffle:
            indices = np.random.default_rng([self.seed, self.epoch]).permutation(indices)
        return iter(indices[self.rank :: self.world_size].tolist())

    def _indices(self, part: int) -> np.ndarray:
        """The indices of an epoch in a part: places in its endless row of passes."""
        count, size = self.counts[part], self.sizes[part]
        if not count:
            return np.zeros(0, int)
        places = np.arange(self.epoch * count, (self.epoch + 1) * count)
        if not self.shuffle:
            return places % size
        passes = range(places[0] // size, places[-1] // size + 1)
        orders = [
            np.random.default_rng([self.seed, part, number]).permutation(size) for number in passes
        ]
        return np.concatenate(orders)[places - passes[0] * size]


@DATA_SAMPLERS.register_module()
class SameImageSampler(DefaultSampler):
    """Crops of one image come one after the other, up to ``group`` of them, else at random.

    For large photographs of several persons: with ``hsjp_mm.LoadScaledImage(keep=1)`` a photograph
    is then decoded once for the crops of a group that need the same size of it, as long as the
    group lies in one batch, for a batch is loaded by one worker. The price is that the samples of a
    batch are less independent: it has about as many images as groups. Batch normalization, and
    methods that tell crops of a batch apart, meet persons of one scene more often.

    In each epoch the crops of each image are divided into groups at random, and the groups are
    put in a random order. It depends on the seed and the number of the epoch alone, so that a
    resumed run goes on as if it had not stopped. Each process takes one stretch of it, where
    DefaultSampler would deal out the crops of a group; so two processes see other batches than one
    with batches of twice the size.

    Args:
        dataset: what to sample from; its ``get_data_info`` tells ``img_path``.
        group: the most crops of an image one after the other; 1 is a plain shuffle. Two groups of
            one image follow each other as rarely as chance has it.
        shuffle, seed, round_up: as in DefaultSampler.

    Raises:
        ValueError: ``group`` is below 1.
        TypeError: the data set does not tell the images of its samples.

    Examples:
        >>> train_dataloader = dict(sampler=dict(type='hsjp_mm.SameImageSampler', group=4))
    """

    def __init__(
        self,
        dataset: Sized,
        group: int = 4,
        shuffle: bool = True,
        seed: int | None = None,
        round_up: bool = True,
    ) -> None:
        super().__init__(dataset, shuffle=shuffle, seed=seed, round_up=round_up)
        require_whole('group', group)
        self.group = group
        self.images = _images_of(dataset)

    def __iter__(self) -> Iterator[int]:
        """Go through this process's indices of an epoch."""
        order = np.resize(self._order(), self.total_size)
        return iter(np.array_split(order, self.world_size)[self.rank].tolist())

    def _order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.images))
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.images))
        order = order[np.argsort(self.images[order], kind='stable')]  # image by image
        images = self.images[order]
        starts = np.flatnonzero(np.diff(images, prepend=-1))
        place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        groups = np.cumsum(place % self.group == 0) - 1
        rank = rng.permutation(groups[-1] + 1)
        return order[np.argsort(rank[groups], kind='stable')]


@DATA_SAMPLERS.register_module()
class PartSampler(FixedLengthSampler):
    """Each process reads its own shards of a store alone, again and again.

    Where a store does not fit one machine: of R processes number r reads the shards s with
    s mod R = r, so that a machine needs the ``.lmdb`` files of its processes alone. Each process
    goes through its samples in a row without end, of which an epoch is the next stretch: in each
    pass its shards come in a new order, and the samples of ``window`` of them are mixed, so that so
    many files are read at a time. The row depends on the seed, the process and the number of
    processes alone: a resumed run goes on as if it had not stopped. It serves loops by epochs and
    by iterations.

    The stock InfiniteSampler deals out the samples of one order, and each process then needs all of
    the shards. The price is that two samples of different processes never meet in one, and that a
    sample of a smaller part comes more often: parts differ by a shard at most.

    Args:
        dataset: a ``PersonCropDataset`` with ``store``; its ``get_data_info`` tells ``shard``.
        num_samples: of an epoch, over all processes; by default as many as the data set has.
        window: how many shards are mixed.
        shuffle: if not, the samples come in their order.
        seed: as in DefaultSampler.

    Raises:
        TypeError: the data set does not tell the shards of its samples.
        ValueError: ``window`` is below 1, or a process has no shard.

    Examples:
        >>> train_dataloader = dict(sampler=dict(type='hsjp_mm.PartSampler', window=4))
    """

    def __init__(
        self,
        dataset: Sized,
        num_samples: int | None = None,
        window: int = 4,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        number = len(dataset) if num_samples is None else num_samples
        super().__init__(dataset, number, shuffle, seed)
        require_whole('window', window)
        self.window = window
        shards = _shards_of(dataset)
        mine = [s for s in np.unique(shards) if s % self.world_size == self.rank]
        if not mine:
            raise ValueError(
                f'dataset: of its {len(np.unique(shards))} shards none is of process {self.rank} '
                f'of {self.world_size}; write a store of smaller shards'
            )
        self.own = [np.flatnonzero(shards == shard) for shard in mine]

    def __iter__(self) -> Iterator[int]:
        """Go through this process's indices of an epoch."""
        size = sum(map(len, self.own))
        start = self.epoch * self.num_samples
        first, last = start // size, (start + self.num_samples - 1) // size
        row = np.concatenate([self._pass(number) for number in range(first, last + 1)])
        begin = start - first * size
        return iter(row[begin : begin + self.num_samples].tolist())

    def _pass(self, number: int) -> np.ndarray:
        """The order of all own samples in a pass."""
        if not self.shuffle:
            return np.concatenate(self.own)
        rng = np.random.default_rng([self.seed, self.rank, number])
        order = rng.permutation(len(self.own))
        windows = (order[i : i + self.window] for i in range(0, len(order), self.window))
        return np.concatenate(
            [rng.permutation(np.concatenate([self.own[s] for s in window])) for window in windows]
        )


def _shards_of(dataset: Any) -> np.ndarray:
    """The number of the shard of each sample, (N,)."""
    rows = getattr(dataset, 'data_list', None)
    if isinstance(rows, Instances) and set(STORED) <= set(rows.columns):
        return rows.shards
    try:
        return np.array([dataset.get_data_info(i)['shard'] for i in range(len(dataset))], int)
    except (AttributeError, KeyError) as error:
        raise TypeError(
            f'dataset: a {type(dataset).__name__} does not tell the shards of its samples; '
            'hsjp_mm.PersonCropDataset does with store'
        ) from error


def _images_of(dataset: Any) -> np.ndarray:
    """The number of the image of each sample, (N,), counted as they come first."""
    rows = getattr(dataset, 'data_list', None)
    if isinstance(rows, Instances):  # ten million samples would take a minute to make
        _, first, images = np.unique(rows.images, return_index=True, return_inverse=True)
        return first.argsort().argsort()[images]
    try:
        paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
    except (AttributeError, KeyError) as error:
        raise TypeError(
            f'dataset: a {type(dataset).__name__} does not tell img_path of its samples by '
            'get_data_info'
        ) from error
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(path, len(numbers)) for path in paths], int)


def _sizes_of_parts(dataset: Any) -> list[int]:
    """The lengths of the data sets that one is made of."""
    whole = dataset
    while not hasattr(dataset, 'datasets'):
        if not hasattr(dataset, 'dataset'):
            raise TypeError(
                f'dataset is a {type(whole).__name__}, and must be made of others, as ConcatDataset'
            )
        dataset = dataset.dataset
    sizes = [len(part) for part in dataset.datasets]
    if sum(sizes) != len(whole):
        raise ValueError(
            f'dataset: the parts of this {type(whole).__name__} have {sizes} samples, not its '
            f'{len(whole)} together: leave sample_ratio_factor and the like to the shares'
        )
    return sizes


def _whole_shares(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers of a sum that are nearest to shares of it; the largest rests are rounded up."""
    exact = np.asarray(shares, float) / sum(shares) * total
    counts = np.floor(exact + 1e-9).astype(int)
    rests = np.argsort(-(exact - counts), kind='stable')
    counts[rests[: total - counts.sum()]] += 1
    return counts.tolist()
