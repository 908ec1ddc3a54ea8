"""What the measurements share: times in turn, and peaks of memory."""

import resource
import shlex
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence

import torch

from hsjp_mm.utils.files import PACKAGE

TOOL = PACKAGE / 'tools/benchmark.py'
"""Starts the processes in which peaks and loading times are measured."""


def alternate(
    ours: Callable, theirs: Callable, rounds: int, device: str = 'cpu'
) -> tuple[float, float, float]:
    """Run both in turn; median seconds of each and the median of the ratios of neighbors."""
    for run in (ours, theirs):
        timed(run, device)
    times = [(timed(ours, device), timed(theirs, device)) for _ in range(rounds)]
    mine, stock = zip(*times, strict=True)
    ratio = statistics.median(m / s for m, s in times)
    return statistics.median(mine), statistics.median(stock), ratio


def timed(run: Callable, device: str) -> float:
    start = time.perf_counter()
    run()
    if device != 'cpu':
        torch.cuda.synchronize()  # with nothing queued before, for each run ends with this
    return time.perf_counter() - start


def run_process(command: Sequence[str], keep: bool = True) -> str:
    """Run a part of a measurement in a process of its own.

    Args:
        command: the program and its arguments.
        keep: what it prints; else the user sees it.

    Returns:
        what it printed, if that is kept.

    Raises:
        ChildProcessError: it failed. It has said why on the standard error.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE if keep else None, text=True)
    if done.returncode:
        raise ChildProcessError(
            f'a process of the measurement ended with status {done.returncode}; what it said '
            f'stands above: {shlex.join(command)}'
        )
    return done.stdout or ''


def peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
