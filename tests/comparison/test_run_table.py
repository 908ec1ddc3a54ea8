"""Fine-tunings as a table."""

import csv
from dataclasses import replace

import pytest

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


def test_a_table_that_cannot_be_finished_leaves_the_one_before(tmp_path):
    write_runs(tmp_path / 'runs.csv', [make('a')])
    before = (tmp_path / 'runs.csv').read_bytes()
    with pytest.raises(TypeError):
        write_runs(tmp_path / 'runs.csv', [make('b'), replace(make('c'), curve=None)])
    assert (tmp_path / 'runs.csv').read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ['runs.csv']
