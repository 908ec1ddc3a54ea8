import pickle

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader

from hsjp_mm.datasets.sample_seeds import SeededIndex, SeededSampler, seed_samples


class Draws:
    """Samples of an index and a number drawn for it."""

    def __init__(self, length: int = 8):
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[int, float]:
        assert type(index) is int
        return index, np.random.rand()  # noqa: NPY002


def loaded(loader: DataLoader, epochs: int = 1) -> list[tuple[int, float]]:
    return [sample for _ in range(epochs) for batch in loader for sample in batch]


def make_loader(batch_size: int = 2, **options) -> DataLoader:
    data = Draws()
    sampler = DefaultSampler(data, seed=0)
    return DataLoader(data, batch_size, sampler=sampler, collate_fn=list, **options)


def test_an_index_is_a_number_and_its_key_reaches_a_worker():
    index = SeededIndex(7)
    index.key = (1, 2, 3, 4)
    copy = pickle.loads(pickle.dumps(index))
    assert (copy, copy.key, [*range(9)][copy]) == (7, (1, 2, 3, 4), 7)


def test_batch_sizes_and_workers_change_nothing():
    expected = None
    for options in ({}, dict(batch_size=3), dict(num_workers=2),
                    dict(num_workers=1, persistent_workers=True)):  # fmt: skip
        loader = make_loader(**options)
        seed_samples(loader, 5)
        found = loaded(loader, epochs=2)
        expected = expected or found
        assert found == expected
    assert len({number for _, number in expected}) == 16  # each epoch draws anew


def test_a_loader_is_seeded_again_without_being_wrapped_twice():
    loader = make_loader()
    first = seed_samples(loader, 5)
    expected = loaded(loader)
    second = seed_samples(loader, 5)
    assert second.sampler is first.sampler
    assert loaded(loader) == expected
    seed_samples(loader, 6)
    assert not {number for _, number in loaded(loader)} & {number for _, number in expected}


def test_an_epoch_can_be_gone_through_again():
    loader = make_loader()
    sampler = seed_samples(loader, 5)
    epochs = [loaded(loader) for _ in range(3)]
    sampler.epoch = 1
    assert [loaded(loader) for _ in range(2)] == epochs[1:]


@pytest.mark.parametrize('cls', [DefaultSampler, InfiniteSampler])
def test_two_processes_draw_what_one_does_with_twice_the_batch(monkeypatch, cls):
    def indices(rank: int, processes: int) -> list[tuple]:
        for module in ('hsjp_mm.datasets.sample_seeds', 'mmengine.dataset.sampler'):
            monkeypatch.setattr(f'{module}.get_dist_info', lambda: (rank, processes))
        sampler = SeededSampler(cls(Draws(), seed=3), 5)
        return [(int(i), i.key) for i, _ in zip(sampler, range(8 // processes), strict=False)]

    one, pair = indices(0, 1), [indices(rank, 2) for rank in range(2)]
    assert [index for both in zip(*pair, strict=True) for index in both] == one


def test_what_draws_by_plain_indices_is_left_alone():
    loader = make_loader()
    seed_samples(loader, 5)
    np.random.seed(0)  # noqa: NPY002
    first = loader.dataset.__getitems__([0, 1])
    np.random.seed(0)  # noqa: NPY002
    assert first == [Draws()[0], Draws()[1]]
