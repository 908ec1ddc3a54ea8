from collections import Counter

import pytest

from hsjp_mm.datasets.samplers import FixedLengthSampler


def test_an_epoch_of_a_small_set_is_whole_passes_and_a_part():
    sampler = FixedLengthSampler(range(4), num_samples=10, seed=0)
    first = list(sampler)
    assert len(sampler) == len(first) == 10
    assert sorted(first[:4]) == sorted(first[4:8]) == [0, 1, 2, 3]
    assert len(set(first[8:])) == 2
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert first != list(sampler)
    assert list(FixedLengthSampler(range(4), 6, shuffle=False)) == [0, 1, 2, 3, 0, 1]


def test_processes_share_the_epoch(monkeypatch):
    whole = list(FixedLengthSampler(range(5), num_samples=11, seed=3))
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(list(FixedLengthSampler(range(5), num_samples=11, seed=3)))
    assert [len(part) for part in parts] == [6, 6]
    joined = [index for pair in zip(*parts, strict=True) for index in pair]
    assert joined[:11] == whole
    assert max(Counter(joined).values()) - min(Counter(joined).values()) <= 1


@pytest.mark.parametrize(('number', 'length'), [(0, 3), (3, 0)])
def test_nothing_to_sample(number, length):
    with pytest.raises(ValueError, match='must be at least 1'):
        FixedLengthSampler(range(length), num_samples=number, seed=0)
