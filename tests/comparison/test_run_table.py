"""Fine-tunings as a table."""

import csv

from hsjp_mm.comparison.run_table import write_runs
from hsjp_mm.comparison.runs import FineTuning


def make(init: str, **values) -> FineTuning:
    return FineTuning(
        init, 0.1, 3, f'w/{init}', 'mesh/MPJPE', 'less', [(8, 99.5), (16, 88.25)], 2, 1.0, 'c', '',
        {}, **values,
    )  # fmt: skip


def test_each_evaluation_is_a_row_and_the_last_has_all_measures(tmp_path):
    runs = [make('a, "b"', others={'mesh/PVE': 7.0}), make('c')]
    write_runs(tmp_path / 'runs.csv', runs)
    with (tmp_path / 'runs.csv').open(newline='') as file:
        rows = list(csv.reader(file))
    assert rows == [
        ['init', 'labels', 'seed', 'images', 'mesh/MPJPE', 'mesh/PVE'],
        ['a, "b"', '0.1', '3', '8', '99.5', ''],
        ['a, "b"', '0.1', '3', '16', '88.25', '7.0'],
        ['c', '0.1', '3', '8', '99.5', ''],
        ['c', '0.1', '3', '16', '88.25', ''],
    ]
