"""The measurement `decode` of `hsjp-mm benchmark`: grouping keypoints to persons."""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from mmpose.registry import KEYPOINT_CODECS

from hsjp_mm.benchmarks.data import draw_maps

CODECS = ('hsjp_mm.AssociativeEmbedding', 'AssociativeEmbedding')
KEYPOINT_ORDER = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]


MAX_INSTANCES = 30
"""So many persons are decoded at most, and so many cells of each map are looked at."""


def measure_decode(args: argparse.Namespace) -> None:
    """Print CPU time of our codec, the stock one and one pass over the maps, run in turn.

    Raises:
        ValueError: a map of fewer cells than are looked at.
    """
    smallest = math.isqrt(MAX_INSTANCES - 1) + 1
    for size in args.map_sizes:
        if size < smallest:
            raise ValueError(f'map_sizes={size} must be at least {smallest} cells')
    print(f'decoding, {torch.get_num_threads()} threads, CPU time; a pass takes the greatest value')
    print('map size  persons  ours, ms  stock, ms  stock / ours  a pass, ms  ours / a pass')
    for size in args.map_sizes:
        for persons in args.crowds:
            maps = draw_maps(persons, size)
            runs = [*(_codec(name, size).batch_decode for name in CODECS), _read_once]
            rounds = [[_cpu_ms(run, maps) for run in runs] for _ in range(args.rounds + 1)][1:]
            ours, stock, once = (statistics.median(times) for times in zip(*rounds, strict=True))
            faster = statistics.median(theirs / mine for mine, theirs, _ in rounds)
            passes = statistics.median(mine / least for mine, _, least in rounds)
            print(
                f'{size:8}  {persons:7}  {ours:8.3g}  {stock:9.3g}  {faster:12.3g}  {once:10.3g}  '
                f'{passes:13.3g}'
            )


def _codec(name: str, size: int):
    return KEYPOINT_CODECS.build(
        dict(
            type=name, input_size=(512, 512), heatmap_size=(size, size),
            decode_keypoint_order=KEYPOINT_ORDER, decode_center_shift=0.5,
            decode_max_instances=MAX_INSTANCES,
        )
    )  # fmt: skip


def _read_once(*maps: torch.Tensor) -> None:
    for one in maps:
        one.amax()


def _cpu_ms(run: Callable, maps: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Time a run on maps that were written a moment ago, as those of a network are."""
    written = [one.clone() for one in maps]
    start = time.process_time()
    run(*written)
    return 1000 * (time.process_time() - start)
