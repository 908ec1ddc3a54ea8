"""Rows to columns at the least cost, with the choice of Munkres' algorithm among equal ones.

Letters: R rows, C columns, R ≤ C. A set of columns is a whole number, its bit j for column j.
"""

import numpy as np


def assign(costs: np.ndarray) -> np.ndarray:
    """Give each row a column of its own so that the sum of their costs is least.

    Munkres' algorithm for rectangular matrices, step by step as in releases 1.1 of the package
    ``munkres``, on which the code of HigherHRNet's authors and MMPose's decoder were built. Which
    of several equally cheap assignments comes out depends on the order of these steps. Release 3
    of the package has another algorithm, and scipy too: with them, persons whose tags are close
    would be grouped in another way than the authors', and than before an update.

    Args:
        costs: (R, C) of finite values.

    Returns:
        (R,) the column of each row.

    Raises:
        ValueError: there are more rows than columns.
    """
    rows, columns = costs.shape
    if rows > columns:
        raise ValueError(f'costs of shape {costs.shape}: more rows than columns')
    reduced = np.zeros((columns, columns))  # rows that are not there cost nothing
    reduced[:rows] = costs - costs.min(axis=1, keepdims=True)
    zeros = _zero_columns(reduced)
    stars = _first_free(zeros)
    while -1 in stars:
        zeros = _add_star(reduced, zeros, stars)
    return np.array(stars[:rows])


def _zero_columns(reduced: np.ndarray) -> list[int]:
    """The set of columns in which each row of a matrix (C, C) is zero."""
    packed = np.packbits(reduced == 0, axis=1, bitorder='little')
    sets, width = packed.tobytes(), packed.shape[1]
    return [
        int.from_bytes(sets[start : start + width], 'little')
        for start in range(0, len(sets), width)
    ]


def _first_free(allowed: list[int]) -> list[int]:
    """Give each row, in turn, the first of its columns that no earlier row has, or −1."""
    stars, free = [], (1 << len(allowed)) - 1
    for columns in allowed:
        possible = columns & free
        first = possible & -possible
        free ^= first
        stars.append(first.bit_length() - 1)
    return stars


def _add_star(reduced: np.ndarray, zeros: list[int], stars: list[int]) -> list[int]:
    """Assign one more row, and other columns to some that had one.

    Args:
        reduced: (C, C) the costs less what all assignments have to pay; it is changed.
        zeros: C sets of columns, where it is zero.
        stars: C columns of the rows, −1 where a row has none; they are changed.

    Returns:
        C sets of columns, where it is zero now.
    """
    primes = [-1] * len(stars)  # a row that has one, and a star, is covered
    free = (1 << len(stars)) - 1 - sum(1 << column for column in stars if column >= 0)
    row = column = 0
    while True:
        row, column = _open_zero(zeros, primes, free, row, column)
        if row < 0:
            _make_zero(reduced, primes, free)
            zeros = _zero_columns(reduced)
            row = column = 0
            continue
        primes[row] = column
        if stars[row] < 0:
            break
        column = stars[row]
        free |= 1 << column
    while row >= 0:  # who loses a star to a prime takes its own prime
        column = primes[row]
        loser = stars.index(column) if column in stars else -1
        stars[row], row = column, loser
    return zeros


def _open_zero(
    zeros: list[int], primes: list[int], free: int, row: int, column: int
) -> tuple[int, int]:
    """Find the next row, from one on and around, that is zero in a free column; −1 if none is.

    Of several such columns, the last is taken, counted from a column on and around.
    """
    for number in (*range(row, len(zeros)), *range(row)):
        found = zeros[number] & free
        if found and primes[number] < 0:
            before = found & ((1 << column) - 1)
            return number, (before or found).bit_length() - 1
    return -1, -1


def _make_zero(reduced: np.ndarray, primes: list[int], free: int) -> None:
    """Subtract the least cost of free columns in rows that are not covered; it is changed."""
    covered = np.array(primes) >= 0
    open_columns = np.array([free >> column & 1 for column in range(len(primes))], bool)
    least = reduced[~covered][:, open_columns].min()
    # each by itself: how they round decides which costs come to zero
    reduced[covered] += least
    reduced[:, open_columns] -= least
