"""What is said of several initialisations, and what so few seeds are worth."""

import itertools

import pytest

from hsjp_mm.comparison.runs import FineTuning
from hsjp_mm.comparison.verdicts import (
    Spread,
    chance_apart,
    leader,
    leads,
    spread_note,
    verdict,
    verdicts,
    written,
)


def make(init: str, seed: int, score: float, fraction: float = 1.0, **values) -> FineTuning:
    given = dict(
        folder=f'w/{init}/{fraction}/{seed}', metric='coco/AP', rule='greater',
        curve=[(8, 0.0), (16, score)],
        iterations=4, seconds=1.0, coverage='c', labels='', protocol={'lr': 1},
    )  # fmt: skip
    return FineTuning(init, fraction, seed, **{**given, **values})


def test_spread_is_the_range():
    spread = Spread((0.2, 0.4, 0.3))
    assert (spread.low, spread.high) == (0.2, 0.4)
    assert spread.mean == pytest.approx(0.3)
    assert spread.text('.1f').replace('\u2060', '') == '0.3 (0.2–0.4)'
    assert Spread([0.25]).text('.2f') == '0.25'


@pytest.mark.parametrize(
    ('ones', 'others', 'rule', 'expected'),
    [
        ([4, 5, 6], [1, 2, 3], 'greater', 1),
        ([4, 5, 6], [1, 2, 3], 'less', -1),
        ([1, 2, 3], [4, 5, 6], 'less', 1),
        ([1, 2, 4], [4, 5, 6], 'less', 0),  # equal ones mix
        ([1, 2], [4, 5, 6], 'less', 0),
        ([1, 2, float('nan')], [4, 5, 6], 'less', 0),
    ],
)
def test_who_leads(ones, others, rule, expected):
    assert leader(ones, others, rule) == expected
    assert leader(others, ones, rule) == -expected


def test_all_who_lead_by_share():
    runs = [
        make(name, seed, base + seed, fraction, rule='less')
        for fraction, bases in ((0.1, {'a': 9, 'b': 1, 'c': 4}), (1.0, {'a': 1, 'b': 2}))
        for name, base in bases.items()
        for seed in range(3)
    ]
    ahead = leads(runs)
    assert ahead == {0.1: [('b', 'a'), ('b', 'c'), ('c', 'a')], 1.0: []}
    assert written(ahead[0.1], 'before') == 'b before a, c; c before a'


@pytest.mark.parametrize(('first', 'second'), [(1, 1), (2, 2), (3, 3), (2, 4)])
def test_chance_of_not_mixing_by_all_orders(first, second):
    apart, orders = 0, list(itertools.permutations(range(first + second)))
    for order in orders:
        ones, others = order[:first], order[first:]
        apart += min(ones) > max(others) or min(others) > max(ones)
    assert chance_apart(first, second) == pytest.approx(apart / len(orders))


@pytest.mark.parametrize(
    ('ones', 'others', 'said'),
    [
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.3], 'a is ahead of b: each of its seeds (0.500–0.700) is '
         'above each of the other’s (0.100–0.300).'),
        ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7], 'b is ahead of a: each of its seeds (0.500–0.700) is '
         'above each of the other’s (0.100–0.300).'),
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.55], 'no difference shown, their spreads overlap'),
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.5], 'no difference shown'),  # they touch
        ([0.5, 0.6], [0.1, 0.2], 'no order is given, for though their seeds do not mix, so few of '
         'equal initialisations do not mix either in 1 of 3 comparisons'),
        ([0.5, 0.6], [0.1, 0.55], 'no difference shown'),
        ([0.9], [0.1], 'no order can be given, for of one seed nothing is known of the spread'),
        ([0.9], [0.1, 0.2, 0.3], 'no order can be given'),
    ],
)  # fmt: skip
def test_an_order_is_given_only_where_spreads_are_apart(ones, others, said):
    text = verdict('a', ones, 'b', others)
    assert said in text
    assert ('ahead' in text) == ('ahead' in said)


@pytest.mark.parametrize(('first', 'second'), [('a', 'b'), ('b', 'a')])
def test_of_an_error_the_smaller_one_is_ahead(first, second):
    millimetres = {'a': [70.0, 71.0, 72.0], 'b': [80.0, 81.0, 82.0]}
    said = (
        'a is ahead of b: each of its seeds (70.0–72.0) is below each of the other’s (80.0–82.0).'
    )
    assert verdict(first, millimetres[first], second, millimetres[second], 'less') == said
    runs = [
        make(init, seed, score, rule='less')
        for init in (first, second)
        for seed, score in enumerate(millimetres[init])
    ]
    assert verdicts(runs) == {1.0: [said]}
    assert 'no difference' in verdict('a', [70.0, 71.0, 80.0], 'b', [80.0, 81.0, 82.0], 'less')


def test_of_no_number_nothing_is_said():
    nan = float('nan')
    assert 'came to no number' in verdict('a', [0.1, 0.2, nan], 'b', [0.5, 0.6, 0.7])


def test_verdicts_of_all_pairs_by_share():
    runs = [
        make(init, seed, base + 0.01 * seed, fraction)
        for fraction, bases in ((0.1, (0.1, 0.5, 0.505)), (1.0, (0.6, 0.605, 0.8)))
        for init, base in zip('abc', bases, strict=True)
        for seed in range(3)
    ]
    ahead = {
        share: [text.split(':')[0] for text in texts if 'is ahead of' in text]
        for share, texts in verdicts(runs).items()
    }
    assert ahead == {
        0.1: ['b is ahead of a', 'c is ahead of a'],
        1.0: ['c is ahead of a', 'c is ahead of b'],
    }
    note = spread_note(runs)
    assert '3 seeds each would come apart by chance in 1 of 10' in note
    assert 'makes 6, so 0.6 of them' in note


def test_too_few_seeds_are_named():
    two = [make(init, seed, 0.1) for init in 'ab' for seed in range(2)]
    assert 'Two seeds are too few to give an order' in spread_note(two)
    assert 'in 1 of 3 comparisons' in spread_note(two)
    assert spread_note(two[::2]).startswith('There is one seed: no spread')
    assert spread_note(two[:3]).endswith('highest. Fewer than 3 seeds give no order: a (2), b (1).')


def seeds_of(numbers: dict[str, int], fraction: float = 1.0) -> list[FineTuning]:
    """So many seeds of each, those of a later one better."""
    return [
        make(init, seed, place + 0.01 * seed, fraction)
        for place, (init, number) in enumerate(numbers.items())
        for seed in range(number)
    ]


@pytest.mark.parametrize('left', [1, 2])
def test_a_failed_seed_does_not_make_the_others_fewer(left):
    runs = seeds_of({'a': 3, 'b': 3, 'c': left})
    assert 'b is ahead of a' in verdicts(runs)[1.0][0]
    note = spread_note(runs)
    assert '3 seeds each would come apart by chance in 1 of 10 comparisons' in note
    assert 'this report makes 1, so 0.1 of them are to be expected.' in note
    assert note.endswith(f'Fewer than 3 seeds give no order: c ({left}).')
    runs += seeds_of({'a': 3, 'b': 3, 'c': 3}, 0.1)
    note = spread_note(runs)
    assert 'this report makes 4, so 0.4 of them' in note
    assert note.endswith(f'c with 100 % of the labels ({left}).')


def test_chances_of_all_pairs_are_summed():
    note = spread_note(seeds_of({'a': 3, 'b': 3, 'c': 4, 'd': 5}))
    numbers = [(3, 3), (3, 4), (3, 5), (3, 4), (3, 5), (4, 5)]
    expected = sum(chance_apart(*pair) for pair in numbers)
    assert f'3 to 5 seeds each would come apart by chance in 1 of 10 to {126 // 2}' in note
    assert f'this report makes 6, so {expected:.1f} of them' in note
    assert 'Fewer' not in note


def test_one_start_alone_is_compared_with_none():
    assert spread_note(seeds_of({'a': 3})).endswith('from the lowest to the highest.')
