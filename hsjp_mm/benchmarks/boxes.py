"""The measurements of `hsjp-mm benchmark` of annotation files, made-up ones of any size."""

import argparse
import json
import sys
import tempfile
import threading
import time
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader, RandomSampler

from hsjp_mm.benchmarks.data import synthetic_coco
from hsjp_mm.benchmarks.measuring import TOOL, peak_memory, run_process
from hsjp_mm.datasets import PersonCropDataset

STEP = 100_000
"""Rows that are drawn at a time."""
IMAGE = '{"id":%d,"file_name":"%012d.jpg","width":640,"height":480}'
BOX = '{"id":%d,"image_id":%d,"category_id":1,"iscrowd":0,"area":%.2f,"bbox":[%.2f,%.2f,%.2f,%.2f]}'
WORKERS = 4
BATCHES = 200
LOAD = """\
import sys
from hsjp_mm.benchmarks.boxes import load_boxes
load_boxes(*sys.argv[1:])
"""


def measure_boxes(args: argparse.Namespace) -> None:
    """Print what two starts take with a quarter, a half and all of the boxes, the second cached."""
    seconds = []
    sizes = [max(1, round(args.boxes * share)) for share in (0.25, 0.5, 1)]
    for number in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'boxes.json'
            write_boxes(path, number, max(1, round(number * args.images / args.boxes)))
            print(f'{number:,} boxes, {path.stat().st_size / 1e6:.0f} MB', flush=True)
            for start in ('first start', 'second start, from the cache'):
                command = [sys.executable, '-c', LOAD, str(path), start]
                line = run_process(command).splitlines()[-1]  # after those of the log
                print(line, flush=True)
                if start == 'first start':
                    # that of few boxes is rounded to none
                    seconds.append(max(0.01, float(line.removeprefix(f'{start}: ').split()[0])))
    exponents = [
        log(b / a) / log(n / m)
        for (m, n), (a, b) in zip(pairwise(sizes), pairwise(seconds), strict=True)
    ]
    print(f'CPU seconds grow with the boxes to the power of {exponents[0]:.2f}, {exponents[1]:.2f}')


def load_boxes(path: str, what: str) -> None:
    """Print what loading takes in this process, and 200 batches in four workers; see above."""
    before, start = _memory('RssAnon'), time.process_time()
    with _Peak() as peak:
        dataset = PersonCropDataset(
            path,
            data_prefix={'img': str(Path(path).parent)},
            pipeline=[],
            cache=str(Path(path).parent / 'cache'),
        )
    seconds = time.process_time() - start
    started = time.perf_counter()
    loader: DataLoader = DataLoader(
        dataset, batch_size=64, num_workers=WORKERS, collate_fn=pseudo_collate,
        sampler=RandomSampler(dataset, replacement=True, num_samples=64 * (BATCHES + 9)),
    )  # fmt: skip
    batches: Any = iter(loader)
    first = 0.0
    for _ in range(BATCHES):
        next(batches)
        first = first or time.perf_counter() - started
    pids = [worker.pid for worker in batches._workers]
    own = max(_memory('Private_Dirty', 'smaps_rollup', pid) for pid in pids)
    print(
        f'{what}: {seconds:.2f} CPU seconds; peak memory {peak.most - before:.0f} MiB above the '
        f'imports, {_memory("RssAnon") - before:.0f} MiB afterwards; first batch {first:.1f} s '
        f'later; of its own a worker has {own:.0f} MiB after {BATCHES} batches',
        flush=True,
    )


class _Peak:
    """The most memory that is no file's, in MiB, while something runs."""

    def __enter__(self) -> '_Peak':
        self.most, self._done = _memory('RssAnon'), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.most = max(self.most, _memory('RssAnon'))

    def __exit__(self, *error) -> None:
        self._done.set()
        self._thread.join()


def _memory(key: str, file: str = 'status', pid: int | str = 'self') -> float:
    """A line of Linux's account of a process, in MiB."""
    for line in Path(f'/proc/{pid}/{file}').read_text().splitlines():
        if line.startswith(f'{key}:'):
            return int(line.split()[1]) / 1024
    raise ValueError(f'/proc/{pid}/{file} has no {key}')


def write_boxes(path: str | Path, num_boxes: int, num_images: int) -> None:
    """Write an annotation file of boxes alone, in order of their images.

    Args:
        path: of the JSON; the image ``000000000000.jpg`` beside it is made too, empty.
        num_boxes: of one category, as many on each image.
        num_images: 640×480 pixels each.
    """
    rng = np.random.default_rng(0)
    Path(path).with_name('000000000000.jpg').touch()
    with open(path, 'w') as file:
        file.write('{"categories":[{"id":1,"name":"person"}],"images":[')
        for start in range(0, num_images, STEP):
            rows = (IMAGE % (i, i) for i in range(start, min(start + STEP, num_images)))
            file.write(',' * (start > 0) + ','.join(rows))
        file.write('],"annotations":[')
        for start in range(0, num_boxes, STEP):
            ids = np.arange(start, min(start + STEP, num_boxes))
            corners, sizes = (rng.uniform(*given, (len(ids), 2)) for given in ((0, 300), (20, 180)))
            columns = ids, ids * num_images // num_boxes, sizes.prod(axis=1), *corners.T, *sizes.T
            file.write(
                ',' * (start > 0) + ','.join(BOX % row for row in zip(*columns, strict=True))
            )
        file.write(']}')


def measure_dataset(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'instances.json'
        path.write_text(json.dumps(synthetic_coco(args.images, args.boxes)))
        (Path(folder) / '0.jpg').touch()
        print(
            f'annotation file of {args.images:,} images, {args.boxes:,} boxes, '
            f'{path.stat().st_size / 1e6:.0f} MB'
        )
        for name in ('none', 'hsjp_mm.PersonCropDataset', 'mmpose.CocoDataset'):
            command = [sys.executable, str(TOOL), 'dataset', '--load', name, str(path)]
            run_process(command, keep=False)


def load(name: str, path: str) -> None:
    """Load a data set in this process and print what it took; 'none' prints what imports take."""
    start = time.perf_counter()
    prefix = dict(img=str(Path(path).parent))
    if name == 'none':
        import mmpose.datasets  # noqa: F401

        import hsjp_mm.datasets  # noqa: F401

        number = 0
    else:
        number = len(DATASETS.build(dict(type=name, ann_file=path, data_prefix=prefix)))
    seconds = time.perf_counter() - start
    print(f'{name}: {number} instances, {seconds:.1f} s, peak memory {peak_memory():.0f} MiB')
