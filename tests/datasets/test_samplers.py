from collections import Counter

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset
from mmengine.registry import DATA_SAMPLERS

from hsjp_mm.datasets import LabelSubset
from hsjp_mm.datasets.instances import Instances, Texts
from hsjp_mm.datasets.samplers import (
    FixedLengthSampler,
    PartSampler,
    SameImageSampler,
    SharesSampler,
)
from tests.datasets.mesh_labels import write_made_up


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


@pytest.mark.parametrize('number', [0, 10.5, '3'])
def test_a_length_that_is_none(number):
    with pytest.raises(
        ValueError, match=f'num_samples={number!r} must be a whole number of at lea'
    ):
        FixedLengthSampler(range(3), num_samples=number, seed=0)


def test_nothing_to_sample():
    with pytest.raises(ValueError, match='the data set must have at least 1 sample'):
        FixedLengthSampler(range(0), num_samples=3, seed=0)


class Parts:
    """As ConcatDataset, of numbers."""

    def __init__(self, *sizes):
        self.datasets = [range(size) for size in sizes]

    def __len__(self):
        return sum(map(len, self.datasets))


def part_counts(indices, first):
    return [sum(index < first for index in indices), sum(index >= first for index in indices)]


def test_parts_have_their_shares_whatever_their_sizes():
    sampler = SharesSampler(Parts(1000, 10), num_samples=20, shares=[0.3, 0.7], seed=0)
    assert sampler.counts == [6, 14]
    assert len(sampler) == 20
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert part_counts(list(sampler), 1000) == [6, 14]
    assert SharesSampler(Parts(5, 5, 5), 10, [1 / 3, 1 / 3, 1 / 3], seed=0).counts == [4, 3, 3]
    assert SharesSampler(Parts(5, 0), 10, [1, 0], seed=0).counts == [10, 0]


def test_no_sample_comes_again_before_all_have_come_over_epochs():
    sampler = SharesSampler(Parts(7, 5), num_samples=10, shares=[0.4, 0.6], seed=1)
    drawn = {0: [], 1: []}
    for epoch in range(9):
        sampler.set_epoch(epoch)
        for index in sampler:
            drawn[int(index >= 7)].append(index)
    for part, numbers in ((0, range(7)), (1, range(7, 12))):
        row = drawn[part]
        # within an epoch the parts are mixed, so only what has come until its end can be counted
        counts = Counter(row)
        assert set(counts) == set(numbers)
        assert max(counts.values()) - min(counts.values()) <= 1
    half = Counter(drawn[1][:30])
    assert set(half.values()) == {6}  # five epochs of six are six passes of five


def test_an_epoch_depends_on_its_number_alone():
    whole = SharesSampler(Parts(7, 5), num_samples=10, shares=[0.4, 0.6], seed=1)
    rows = []
    for epoch in range(4):
        whole.set_epoch(epoch)
        rows.append(list(whole))
    resumed = SharesSampler(Parts(7, 5), num_samples=10, shares=[0.4, 0.6], seed=1)
    resumed.set_epoch(3)
    assert list(resumed) == rows[3]
    assert len({tuple(row) for row in rows}) == 4
    other = SharesSampler(Parts(7, 5), num_samples=10, shares=[0.4, 0.6], seed=2)
    assert list(other) != rows[0]
    plain = SharesSampler(Parts(3, 4), num_samples=6, shares=[0.5, 0.5], shuffle=False, seed=1)
    assert list(plain) == [0, 1, 2, 3, 4, 5]
    plain.set_epoch(1)
    assert list(plain) == [0, 1, 2, 6, 3, 4]


def test_processes_share_an_epoch_of_shares(monkeypatch):
    options = dict(num_samples=11, shares=[0.4, 0.6], seed=3)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(list(SharesSampler(Parts(20, 30), **options)))
    assert [len(part) for part in parts] == [6, 6]
    assert len({*parts[0], *parts[1]}) == 12
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (0, 1))
    whole = list(SharesSampler(Parts(20, 30), **{**options, 'num_samples': 12}))
    assert [index for pair in zip(*parts, strict=True) for index in pair] == whole


def test_of_data_sets_and_of_a_share_of_each(tmp_path):
    for name in 'ab':
        write_made_up(tmp_path / name)
    parts = [
        dict(type='hsjp_mm.MeshDataset', ann_file='labels.npz', data_root=str(tmp_path / name))
        for name in 'ab'
    ]
    whole = ConcatDataset(parts)
    config = dict(type='hsjp_mm.SharesSampler', num_samples=8, shares=[0.25, 0.75], seed=0)
    sampler = DATA_SAMPLERS.build(dict(**config, dataset=whole))
    drawn = [whole.get_data_info(index)['img_path'] for index in sampler]
    assert sum(path.startswith(str(tmp_path / 'a')) for path in drawn) == 2
    third = LabelSubset(dict(type='ConcatDataset', datasets=parts), fraction=1 / 3)
    assert len(third) == 4
    alone = DATA_SAMPLERS.build(dict(**config, dataset=third))
    assert part_counts(list(alone), 2) == [2, 6]


@pytest.mark.parametrize(
    ('dataset', 'shares', 'error', 'message'),
    [
        (range(5), [1.0], TypeError, 'dataset is a range, and must be made of others'),
        (Parts(5, 5), [1.0], ValueError, r'shares=\[1.0\] must be one for each of the 2 parts'),
        (Parts(5, 5), [0.5, 0.6], ValueError, r'shares=\[0.5, 0.6\] must be 0 or more, and sum'),
        (Parts(5, 5), [-0.5, 1.5], ValueError, 'must be 0 or more'),
        (Parts(5, 5), [float('nan'), 1.0], ValueError, 'must be 0 or more'),
        (Parts(5, 0), [0.5, 0.5], ValueError, 'part 1 of the data set is empty'),
    ],
)
def test_shares_that_cannot_be(dataset, shares, error, message):
    with pytest.raises(error, match=message):
        SharesSampler(dataset, num_samples=10, shares=shares, seed=0)


class Crops:
    """Samples that tell their image."""

    def __init__(self, *images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def get_data_info(self, index):
        return {'img_path': self.images[index]}


CROPS = Crops(*np.random.RandomState(0).permutation([f'{i}.jpg' for i in range(20)] * 7).tolist())


def groups_of(indices):
    """The lengths of the stretches of one image."""
    images = [CROPS.images[index] for index in indices]
    cuts = [i for i in range(1, len(images)) if images[i] != images[i - 1]]
    return np.diff([0, *cuts, len(images)]).tolist()


@pytest.mark.parametrize('group', [1, 3, 7])
def test_crops_of_an_image_come_in_groups(group):
    sampler = SameImageSampler(CROPS, group, seed=0)
    orders = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert sorted(orders[-1]) == list(range(140)) and len(sampler) == 140
        lengths = groups_of(orders[-1])
        if group > 1:  # of 7, two of 3 and one of 1; some meet another one of their image
            assert len(lengths) <= 20 * -(-7 // group)
            assert len(lengths) > 0.8 * 20 * -(-7 // group)
        else:
            assert np.mean(lengths) < 1.2
    assert orders[0] != orders[1]
    if group == 3:
        together = [
            {frozenset(order[i : i + 3]) for i in range(138)} for order in orders
        ]  # what is in a group changes, too
        assert len(together[0] & together[1]) < 10


def test_groups_depend_on_the_epochs_number_alone():
    sampler = SameImageSampler(CROPS, seed=4)
    sampler.set_epoch(3)
    expected = list(sampler)
    resumed = SameImageSampler(CROPS, seed=4)
    list(resumed)
    resumed.set_epoch(3)
    assert list(resumed) == expected
    assert list(SameImageSampler(CROPS, shuffle=False)) == list(range(140))
    other = SameImageSampler(CROPS, seed=5)
    other.set_epoch(3)
    assert list(other) != expected


@pytest.mark.parametrize(('round_up', 'lengths'), [(True, [47, 47, 47]), (False, [47, 47, 46])])
def test_processes_take_stretches_of_the_groups(monkeypatch, round_up, lengths):
    whole = list(SameImageSampler(CROPS, seed=3))
    parts = []
    for rank in range(3):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 3))
        sampler = SameImageSampler(CROPS, seed=3, round_up=round_up)
        parts.append(list(sampler))
        assert len(sampler) == lengths[rank] == len(parts[-1])
    joined = [index for part in parts for index in part]
    assert joined[:140] == whole and joined[140:] == whole[: len(joined) - 140]


def test_groups_are_the_same_by_the_boxes_as_by_the_samples():
    """What is in arrays needs no samples, and a run of either goes on with the other."""
    rng = np.random.RandomState(0)
    images = rng.randint(5, 40, 100)  # the first ones have none
    names = Texts.of(f'{i}.jpg' for i in range(40))
    rows = Instances({'image': images, 'name': names}, rows=rng.permutation(100)[:90])
    made = Crops(*(sample['img_path'] for sample in rows))
    orders = [list(SameImageSampler(crops, 3, seed=1)) for crops in (Boxes(rows), made)]
    assert orders[0] == orders[1] and sorted(orders[0]) == list(range(90))


class Boxes:
    """A data set whose samples are in arrays, and need not be made."""

    def __init__(self, rows):
        self.data_list = rows

    def __len__(self):
        return len(self.data_list)


def test_groups_that_cannot_be():
    with pytest.raises(ValueError, match='group=0 must be a whole number of at least 1'):
        SameImageSampler(CROPS, 0, seed=0)
    with pytest.raises(TypeError, match='a range does not tell img_path'):
        SameImageSampler(range(3), seed=0)


class Shards:
    """As a PersonCropDataset that reads a store: seven shards of five samples, the last has two."""

    def __len__(self):
        return 32

    def get_data_info(self, index):
        return {'shard': index // 5}


def part_sampler(monkeypatch, rank: int, **options) -> PartSampler:
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (rank, 2))
    return PartSampler(Shards(), **{'seed': 3, **options})


def test_processes_read_their_own_shards(monkeypatch):
    seen = []
    for rank, size in ((0, 17), (1, 15)):
        sampler = part_sampler(monkeypatch, rank)
        row = []
        for epoch in range(17):
            sampler.set_epoch(epoch)
            assert len(sampler) == 16
            row += list(sampler)
        assert len(row) == 17 * 16
        assert {index // 5 % 2 for index in row} == {rank}
        passes = [row[start : start + size] for start in range(0, len(row) - size, size)]
        assert all(len(set(one)) == size for one in passes)  # none a second time before all came
        assert passes[0] != passes[1]
        seen.append(set(row))
    assert seen[0] | seen[1] == set(range(32)) and not seen[0] & seen[1]


@pytest.mark.parametrize('window', [1, 2])
def test_the_samples_of_a_window_are_mixed(monkeypatch, window):
    sampler = part_sampler(monkeypatch, 1, num_samples=30, window=window)
    mixed = 0
    for epoch in range(10):
        sampler.set_epoch(epoch)
        shards = [index // 5 for index in sampler]  # three shards of five
        assert len(set(shards[: 5 * window])) == window
        assert len(set(shards[5 * window :])) == 3 - window
        mixed += np.count_nonzero(np.diff(shards[: 5 * window])) > 1
    assert mixed == 0 if window == 1 else mixed > 5
    plain = part_sampler(monkeypatch, 1, num_samples=30, shuffle=False)
    assert [index // 5 for index in plain] == [1] * 5 + [3] * 5 + [5] * 5


def test_a_resumed_part_goes_on(monkeypatch):
    sampler = part_sampler(monkeypatch, 0)
    sampler.set_epoch(4)
    expected = list(sampler)
    resumed = part_sampler(monkeypatch, 0)
    resumed.set_epoch(4)
    assert list(resumed) == expected
    other = part_sampler(monkeypatch, 0, seed=4)
    other.set_epoch(4)
    assert list(other) != expected


def test_parts_are_those_of_the_store(monkeypatch):
    shards = np.array([Shards().get_data_info(i)['shard'] for i in range(len(Shards()))])
    numbers = np.arange(len(shards))
    columns = {'image': numbers, 'name': Texts.of(map(str, numbers))}
    rows = Instances(columns).with_crops(numbers, shards)
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (1, 2))
    own, others = (list(PartSampler(parts, seed=3)) for parts in (Boxes(rows), Shards()))
    assert own == others


def test_parts_that_cannot_be(monkeypatch):
    with pytest.raises(ValueError, match='window=0 must be a whole number of at least 1'):
        PartSampler(Shards(), window=0, seed=0)
    with pytest.raises(TypeError, match='a range does not tell the shards'):
        PartSampler(range(3), seed=0)
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (8, 9))
    with pytest.raises(ValueError, match='of its 7 shards none is of process 8 of 9'):
        PartSampler(Shards(), seed=0)
