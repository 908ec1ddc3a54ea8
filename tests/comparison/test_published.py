"""Published values beside one's own, by hand."""

import pytest

from hsjp_mm.comparison.published import Published, sentences_on
from tests.comparison.test_verdicts import make

OURS = {
    'scratch': (70.0, 72.0, 74.0),
    'hsjp': (60.0, 61.0, 62.0),
    'pose2d': (61.5, 63.0, 64.0),  # overlaps with hsjp
    'synthetic': (80.0, 81.0, 82.0),
    'own': (50.0, 51.0, 52.0),  # of which nothing is published
}


def make_runs(seeds: int = 3, rule: str = 'less'):
    return [
        make(name, seed, value, rule=rule, fraction=0.1)
        for name, values in OURS.items()
        for seed, value in list(enumerate(values))[:seeds]
    ]


def published(**values: float) -> Published:
    return Published({name: {0.1: value} for name, value in values.items()}, '3DPW')


def test_pairs_agree_disagree_or_show_no_order():
    paper = published(pose2d=56.9, hsjp=60, synthetic=62.5, scratch=73.4, other=1)
    assert sentences_on(paper, make_runs()) == {
        0.1: [
            'Published, from the best on: pose2d, hsjp, synthetic, scratch.',
            'Here, by the means alone: hsjp, pose2d, scratch, synthetic.',
            'In 4 of 6 pairs the seeds here show the published order: pose2d before synthetic, '
            'scratch; hsjp before synthetic, scratch.',
            'In 1 of 6 pairs the seeds here show the opposite order: scratch before synthetic.',
            'In 1 of 6 pairs the seeds here overlap and show no order: pose2d and hsjp.',
        ]
    }


def test_where_more_is_better_the_order_is_the_other_way():
    paper = published(pose2d=56.9, synthetic=62.5)
    assert sentences_on(paper, make_runs(rule='greater'))[0.1] == [
        'Published, from the best on: synthetic, pose2d.',
        'Here, by the means alone: synthetic, pose2d.',
        'In 1 of 1 pairs the seeds here show the published order: synthetic before pose2d.',
    ]


def test_few_seeds_and_equal_values_show_no_order():
    paper = published(hsjp=60, scratch=60, synthetic=70)
    lines = sentences_on(paper, make_runs(2))[0.1]
    assert lines[2:] == [
        'In 2 of 3 pairs fewer than 3 seeds here show no order: scratch and synthetic; hsjp and '
        'synthetic.',
        'In 1 of 3 pairs the published values are equal: scratch and hsjp.',
    ]


def test_nothing_is_said_of_one_alone_or_of_another_share():
    assert sentences_on(published(hsjp=60, other=1), make_runs()) == {}
    other = Published({'hsjp': {1.0: 50}, 'scratch': {1.0: 55}}, '3DPW')
    assert sentences_on(other, make_runs()) == {}


def test_values_are_written_as_they_were_given():
    paper = Published({'a': {0.1: 56.92, 1: 73.4}}, '3DPW')
    assert [paper.text('a', 0.1), paper.text('a', 1.0), paper.text('a', 0.3)] == [
        '56.92', '73.4', '–'
    ]  # fmt: skip
    assert paper.text('b', 0.1) == '–' and paper.shares == [0.1, 1]


@pytest.mark.parametrize(
    ('values', 'on', 'message'),
    [
        ({'a': {10: 5.0}}, 'x', r'a: share 10 must be in \(0, 1\]'),
        ({'a': {1: float('nan')}}, 'x', 'a, 1: nan must be a number'),
        ({'a': {1: 5.0}}, '', 'measured_on must say'),
    ],
)
def test_bad_values(values, on, message):
    with pytest.raises(ValueError, match=message):
        Published(values, on)
