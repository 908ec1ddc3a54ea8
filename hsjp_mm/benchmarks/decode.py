"""The measurement `decode` of `hsjp-mm benchmark`: grouping keypoints to persons."""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from mmpose.registry import KEYPOINT_CODECS
from torch import Tensor

from hsjp_mm.benchmarks.data import draw_maps
from hsjp_mm.codecs import AssociativeEmbedding
from hsjp_mm.codecs.enlarging import EnlargedMaps

CODECS = ('hsjp_mm.AssociativeEmbedding', 'AssociativeEmbedding')
KEYPOINT_ORDER = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]


MAX_INSTANCES = 30
"""So many persons are decoded at most, and so many cells of each map are looked at."""

FACTORS = 4, 2
"""How much smaller than the input the maps of HigherHRNet are."""


def measure_decode(args: argparse.Namespace) -> None:
    """Print CPU time of our codec, the stock one and one pass over the maps, run in turn.

    Then that of our codec on the maps of the network, of which it has few blocks enlarged, beside
    enlarging and averaging them as a whole and grouping.

    Raises:
        ValueError: a map of fewer cells than are looked at, or of another size than whole cells of
            the network's maps make.
    """
    smallest = math.isqrt(MAX_INSTANCES - 1) + 1
    for size in args.map_sizes:
        if size < smallest:
            raise ValueError(f'map_sizes={size} must be at least {smallest} cells')
        if size % max(FACTORS):
            raise ValueError(f'map_sizes={size} must be a multiple of {max(FACTORS)} cells')
    _measure_grouping(args)
    _measure_enlarging(args)


def _measure_grouping(args: argparse.Namespace) -> None:
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


def _measure_enlarging(args: argparse.Namespace) -> None:
    print('\nfrom the maps of HigherHRNet, at 1/4 and 1/2; the size is that of the input')
    print('map size  persons  blocks, ms  all, ms  of it enlarging, ms  blocks / all')
    for size in args.map_sizes:
        codec = _codec(CODECS[0], size)
        everything, blocks = partial(_enlarged, size), partial(_enlarged_blocks, size)
        runs: list[Callable] = [
            partial(_group, codec, blocks), partial(_group, codec, everything), everything,
        ]  # fmt: skip
        for persons in args.crowds:
            heatmaps, tags = draw_maps(persons, size // FACTORS[0])
            finer = F.interpolate(heatmaps, scale_factor=FACTORS[0] // FACTORS[1], mode='bilinear')
            maps = heatmaps, finer, tags
            rounds = [[_cpu_ms(run, maps) for run in runs] for _ in range(args.rounds + 1)][1:]
            few, whole, enlarging = map(statistics.median, zip(*rounds, strict=True))
            ratio = statistics.median(mine / theirs for mine, theirs, _ in rounds)
            print(
                f'{size:8}  {persons:7}  {few:10.3g}  {whole:7.3g}  {enlarging:19.3g}  '
                f'{ratio:12.3g}'
            )


def _group(codec: AssociativeEmbedding, enlarge: Callable, *maps: Tensor) -> None:
    codec.batch_decode(*enlarge(*maps))


def _enlarged(size: int, heatmaps: Tensor, finer: Tensor, tags: Tensor) -> tuple[Tensor, Tensor]:
    """Do as HigherHRNetHead does where it enlarges all."""
    coarse, fine, all_tags = (
        F.interpolate(maps, (size, size), mode='bilinear') for maps in (heatmaps, finer, tags)
    )
    return coarse.add_(fine).div_(2), all_tags


def _enlarged_blocks(
    size: int, heatmaps: Tensor, finer: Tensor, tags: Tensor
) -> tuple[list[EnlargedMaps], list[EnlargedMaps]]:
    return (
        [EnlargedMaps([heatmaps[0], finer[0]], FACTORS, (size, size))],
        [EnlargedMaps([tags[0]], FACTORS[:1], (size, size))],
    )


def _codec(name: str, size: int):
    return KEYPOINT_CODECS.build(
        dict(
            type=name, input_size=(512, 512), heatmap_size=(size, size),
            decode_keypoint_order=KEYPOINT_ORDER, decode_center_shift=0.5,
            decode_max_instances=MAX_INSTANCES,
        )
    )  # fmt: skip


def _read_once(*maps: Tensor) -> None:
    for one in maps:
        one.amax()


def _cpu_ms(run: Callable, maps: tuple[Tensor, ...]) -> float:
    """Time a run on maps that were written a moment ago, as those of a network are."""
    written = [one.clone() for one in maps]
    start = time.process_time()
    run(*written)
    return 1000 * (time.process_time() - start)
