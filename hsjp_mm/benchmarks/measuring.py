"""What the measurements share: times in turn, and peaks of memory."""

import resource
import statistics
import time
from collections.abc import Callable

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


def peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
