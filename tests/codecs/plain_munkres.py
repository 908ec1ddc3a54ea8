"""Munkres' algorithm on a matrix of marks, one cell at a time.

R. A. Pilgrim's six steps for rectangular matrices, searched in the order of the package ``munkres``
1.1.4: for an open zero from the place of the last one, row by row and around, of which a row gives
its last.
"""

from itertools import product

STAR, PRIME = 1, 2


def plain_munkres(costs):
    """Columns of the rows of costs, a list of R lists of C ≥ R numbers."""
    size = len(costs[0])
    left = [list(map(float, row)) for row in costs] + [
        [0.0] * size for _ in range(len(costs), size)
    ]
    left = [[value - min(row) for value in row] for row in left]
    marks = [[0] * size for _ in range(size)]
    cells = list(product(range(size), repeat=2))
    for i, j in cells:
        taken = STAR in marks[i] or any(marks[k][j] == STAR for k in range(size))
        if left[i][j] == 0 and not taken:
            marks[i][j] = STAR
    while sum(row.count(STAR) for row in marks) < size:
        closed_rows = [False] * size
        closed_columns = [any(marks[i][j] == STAR for i in range(size)) for j in range(size)]
        i, j = 0, 0
        while True:
            zero = None
            for row in [(i + step) % size for step in range(size)]:
                for column in [(j + step) % size for step in range(size)]:
                    is_open = not closed_rows[row] and not closed_columns[column]
                    if left[row][column] == 0 and is_open:
                        zero = row, column
                if zero:
                    break
            if zero is None:
                least = min(
                    left[a][b] for a, b in cells if not closed_rows[a] and not closed_columns[b]
                )
                for a, b in cells:
                    if closed_rows[a]:
                        left[a][b] += least
                    if not closed_columns[b]:
                        left[a][b] -= least
                i, j = 0, 0
                continue
            i, j = zero
            marks[i][j] = PRIME
            if STAR not in marks[i]:
                break
            closed_rows[i] = True
            j = marks[i].index(STAR)
            closed_columns[j] = False
        path = [(i, j)]
        while any(marks[k][j] == STAR for k in range(size)):
            i = next(k for k in range(size) if marks[k][j] == STAR)
            path.append((i, j))
            j = marks[i].index(PRIME)
            path.append((i, j))
        for i, j in path:
            marks[i][j] = 0 if marks[i][j] == STAR else STAR
        for i, j in cells:
            if marks[i][j] == PRIME:
                marks[i][j] = 0
    return [row.index(STAR) for row in marks[: len(costs)]]
