import hashlib
from itertools import pairwise

from hsjp_mm.ops.subsets import subset_order


def taken(ids: list, number: int, seed: int = 3) -> set:
    return {ids[index] for index in subset_order(ids, seed)[:number]}


def test_the_order_is_that_of_a_hash_of_seed_and_id():
    ids = [9, 4, 'b/c.jpg', 0]
    by_hand = sorted(ids, key=lambda i: hashlib.sha256(f'label subset 7/{i}'.encode()).hexdigest())
    assert [ids[index] for index in subset_order(ids, seed=7)] == by_hand
    assert subset_order([], seed=7) == []


def test_the_order_is_the_same_on_every_machine():
    """Written down, so that a change is seen."""
    assert subset_order(range(10), seed=0) == [8, 2, 6, 1, 9, 5, 4, 3, 7, 0]


def test_smaller_ones_lie_inside_larger_ones_of_the_same_seed():
    ids = list(range(100))
    chain = [taken(ids, number) for number in (0, 1, 10, 55, 100)]
    assert all(smaller < larger for smaller, larger in pairwise(chain))
    assert not taken(ids, 10, seed=4) <= chain[3]


def test_the_order_of_the_ids_and_others_do_not_matter():
    ids = [f'{i}.jpg' for i in range(50)]
    assert taken(ids, 20) == taken(ids[::-1], 20)
    more = ids + [f'new{i}.jpg' for i in range(10)]
    order = [more[index] for index in subset_order(more, 3)]
    assert [key for key in order if key in ids] == [ids[index] for index in subset_order(ids, 3)]


def test_equal_ids_are_taken_one_by_one():
    ids = ['a', 'b', 'a', 'b', 'a']
    order = subset_order(ids, seed=0)
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert [index for index in order if ids[index] == 'a'] == [0, 2, 4]


def test_every_id_is_as_likely_as_any_other():
    first = [subset_order(range(5), seed)[0] for seed in range(2000)]
    counts = [first.count(key) for key in range(5)]
    assert sum(counts) == 2000 and all(330 < count < 470 for count in counts)  # 400 ± 4 · 18


def test_names_that_are_no_utf_8_have_a_place_too():
    """A file named in Latin-1 is listed with a lone surrogate, and works everywhere else."""
    ids = ['caf\udce9.jpg', 'a.jpg', 'b.jpg']
    assert sorted(subset_order(ids, 0)) == [0, 1, 2]
    assert [i - 1 for i in subset_order(ids, 0) if i] == subset_order(ids[1:], 0)
