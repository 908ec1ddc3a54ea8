import math

import pytest

from hsjp_mm.visualization.axes import limits_around, limits_of_shares


@pytest.mark.parametrize(
    ('values', 'limits'),
    [
        ([10, 30], (9, 31)),
        ([0.2, 4.2], (0, 4.4)),  # nothing is negative
        ([-1, 3], (-1.2, 3.2)),
        ([8, 8], (7.6, 8.4)),
        ([0, 0], (0, 1)),  # of matplotlib, -0.055 to 0.055
        ([], (0, 1)),
        ([2, math.nan, math.inf, 4], (1.9, 4.1)),
    ],
)
def test_limits_around_values(values, limits):
    assert limits_around(values) == pytest.approx(limits)


@pytest.mark.parametrize(
    ('shares', 'limits'),
    [
        ([0.2, 0.8], (0, 0.84)),
        ([0, 0.003], (0, 0.105)),
        ([-0.2, 0.05], (-0.21, 0.105)),
        ([], (0, 0.105)),
        ([math.nan, 1], (0, 1.05)),
    ],
)
def test_limits_of_shares(shares, limits):
    assert limits_of_shares(shares) == pytest.approx(limits)
