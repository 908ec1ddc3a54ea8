"""What `hsjp-mm benchmark communication` counts, in a group of one process."""

import re
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed

from hsjp_mm.benchmarks import communication
from hsjp_mm.benchmarks.communication import (
    Traffic,
    counted,
    measure_traffic,
    start_processes,
)


@pytest.fixture
def group(tmp_path):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/group', rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def test_what_is_sent_is_counted_once(group):
    traffic = Traffic()
    with counted(traffic):
        torch.distributed.all_reduce(torch.zeros(5))  # 20 bytes
        torch.distributed.broadcast(torch.zeros(3, dtype=torch.float64), src=0)  # 24
        torch.distributed.all_gather([torch.zeros(2)], torch.ones(2))  # 8
    torch.distributed.all_reduce(torch.zeros(100))  # not inside
    assert traffic.sent == 52 and traffic.seconds > 0


def test_gradients_and_other_things_of_a_step(group):
    model = torch.nn.Linear(7, 3)  # 24 parameters, 96 bytes
    inputs = torch.randn(4, 7)

    def make_step(parallel):
        def step():
            outputs = parallel(inputs)
            torch.distributed.all_reduce(outputs.detach().clone())  # 4 · 3 · 4 bytes
            outputs.sum().backward()

        return step

    line = measure_traffic(model, make_step, rounds=2)
    assert re.search(r'gradients 96 bytes, other things 48 bytes; \d+% of the time', line)


def test_the_processes_run_the_tool_whatever_the_command_was(monkeypatch):
    started = []
    monkeypatch.setattr(communication, 'run_process', lambda command, keep: started.append(command))
    monkeypatch.setattr(sys, 'argv', ['hsjp-mm benchmark', 'communication', '--batch', '2'])
    start_processes(3)
    (command,) = started
    assert command[-6:-4] == ['--nproc_per_node', '3']
    assert Path(command[-4]).name == 'benchmark.py' and Path(command[-4]).is_file()
    assert command[-3:] == ['communication', '--batch', '2']
