"""The assignment and its choice among equally cheap ones."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from hsjp_mm.codecs.assignment import assign
from tests.codecs.plain_munkres import plain_munkres


@pytest.mark.parametrize(
    ('costs', 'columns'),
    [
        # what munkres 1.1.4 gives; release 3 and scipy give others of the same cost
        ([[1, 2, 2], [0, 2, 1]], [0, 2]),
        ([[0, 2, 2], [1, 2, 2]], [0, 2]),
        ([[0, 0, 0], [0, 1, 1]], [2, 0]),
        ([[2, 2, 1], [1, 1, 0]], [2, 1]),
        (
            [[2, 2, 0, 1, 1], [0, 2, 0, 2, 1], [0, 2, 1, 2, 2], [0, 1, 0, 2, 1]],
            [3, 4, 0, 2],
        ),
        ([[0, 1, 1, 1, 0], [1, 0, 1, 1, 1], [0, 1, 1, 2, 1], [0, 2, 1, 1, 0]], [3, 1, 0, 4]),
    ],
)
def test_of_equal_assignments_it_takes_that_of_the_authors_package(costs, columns):
    assert assign(np.array(costs, float)).tolist() == columns


def draw_costs(rng, kind):
    rows = rng.integers(1, 14)
    shape = rows, rng.integers(rows, 16)
    if kind == 'few values':
        return rng.integers(0, 3, shape).astype(float)
    if kind == 'any values':
        return rng.normal(0, 1e3, shape)
    tags = rng.normal(0, 2, (rows, 1)), rng.normal(0, 2, (1, max(shape[1] - 3, 1)))
    costs = np.round(np.abs(tags[0] - tags[1])) * 100 - rng.random((rows, 1)).astype(np.float32)
    return np.hstack([costs, np.full((rows, max(rows - costs.shape[1], 0)), 1e10)])


@pytest.mark.parametrize('kind', ['few values', 'any values', 'tags and scores'])
@pytest.mark.parametrize('seed', range(3))
def test_it_is_munkres_algorithm_step_by_step(kind, seed):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        costs = draw_costs(rng, kind)
        columns = assign(costs)
        assert columns.tolist() == plain_munkres(costs.tolist())
        if kind != 'tags and scores':  # beside 1e10, rounding hides differences
            rows = np.arange(len(costs))
            least = costs[linear_sum_assignment(costs)].sum()
            assert costs[rows, columns].sum() == pytest.approx(least)
            assert len(set(columns.tolist())) == len(costs)


def test_more_columns_than_a_machine_word_has_bits():
    costs = np.random.default_rng(0).integers(0, 9, (70, 90)).astype(float)
    columns = assign(costs)
    assert costs[np.arange(70), columns].sum() == costs[linear_sum_assignment(costs)].sum()
    assert len(set(columns.tolist())) == 70


def test_costs_are_not_changed_and_more_rows_than_columns_are_refused():
    costs = np.array([[2.0, 1], [1, 0]])
    assign(costs)
    assert costs.tolist() == [[2, 1], [1, 0]]
    with pytest.raises(ValueError, match=r'\(2, 1\): more rows than columns'):
        assign(costs[:, :1])
