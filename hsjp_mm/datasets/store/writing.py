"""Writing a store: each image is read once, and what crops can show of it is encoded anew."""

import glob
import hashlib
import json
import multiprocessing
import os
import socket
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmpose.datasets.transforms import LoadImage

from hsjp_mm.datasets.image_files import UnreadableImageError, decoding
from hsjp_mm.datasets.instances import Texts
from hsjp_mm.datasets.store.files import (
    FORMATS,
    MANIFEST,
    begin_manifest,
    crop_arrays,
    crop_key,
    given_box,
    image_name,
    index_path,
    plain,
    shard_path,
    write_sizes,
)
from hsjp_mm.datasets.store.reach import Reach, UnknownReachError, find_reach
from hsjp_mm.utils.files import file_sha256, read_json, write_arrays, write_json
from hsjp_mm.utils.optional import import_optional

SOURCE = (
    'ann_file', 'bbox_file', 'image_list', 'data_prefix', 'category_names', 'annotation_keys',
    'score_thr', 'min_size', 'held_out', 'part', 'fraction', 'num_samples', 'seed',
)  # fmt: skip
"""What the manifest says of the data set."""
BLOCK = 16
"""Regions begin and end at multiples of this, as the blocks of JPEG photographs do: what is encoded
anew in blocks of its own loses less than half as much."""
SLACK = 2
"""Pixels around what the crops show, for the neighbors that an interpolation reads."""
MAP_SIZE = 1 << 38
"""The most bytes of a shard; what it reserves is addresses and no memory or disk."""


@dataclass(frozen=True)
class Options:
    """How crops are stored.

    Attributes:
        format: 'jpg' or 'webp'.
        quality: of the encoder, 1 to 100.
        shrink: store a crop with as few pixels as leave it its resolution where the augmentation
            enlarges it most.
        margin: store a square of this many times the longer side of the box; None for what the
            augmentation can reach.
        shard_size: crops of a shard.

    Raises:
        ValueError: a value outside its range.
    """

    format: str = 'jpg'
    quality: int = 95
    shrink: bool = False
    margin: float | None = None
    shard_size: int = 4096

    def __post_init__(self):
        if self.format not in FORMATS:
            raise ValueError(f'format={self.format!r} must be one of {", ".join(FORMATS)}')
        if not 1 <= self.quality <= 100:
            raise ValueError(f'quality={self.quality} must be from 1 to 100')
        if self.margin is not None and not self.margin >= 1:
            raise ValueError(f'margin={self.margin} must be a factor of at least 1')
        if self.shard_size < 1:
            raise ValueError(f'shard_size={self.shard_size} must be at least 1')


Told = Callable[[int, int, dict[str, Any]], None]


def write_store(
    dataset: Any,
    out: str | Path,
    options: Options,
    workers: int = 1,
    tell: Told = lambda number, shards, shard: None,
) -> dict[str, Any]:
    """Write the crops of a data set, or what is missing of them.

    The crops of an image lie side by side, and the images in a random order that is always the
    same, so that each shard is a fair sample.

    Args:
        dataset: a :class:`~hsjp_mm.datasets.PersonCropDataset`, told what stands on its model.
        out: the folder.
        options: how.
        workers: processes; each writes one shard at a time.
        tell: is told of each shard that is there, as it comes: its number, of how many, and what
            the manifest has of it.

    Returns:
        The manifest.

    Raises:
        ImportError: lmdb is not installed.
        UnknownReachError: nothing says how much is to be stored, see
            :func:`~hsjp_mm.datasets.store.find_reach`.
        ValueError: the folder holds another store.
    """
    import_optional('lmdb', 'a store of crops')
    if workers < 1:
        raise ValueError(f'workers={workers} must be at least 1')
    plan = _Plan(dataset, Path(out), options)
    plan.out.mkdir(parents=True, exist_ok=True)
    made_by = {
        **asdict(options),
        'reach': plain(asdict(plan.reach)) if plan.reach else None,
        'instances': len(plan.order),
        'instances_sha256': plan.fingerprint(),
    }
    begin_manifest(plan.out, made_by, {name: plain(getattr(dataset, name)) for name in SOURCE})
    plan.known = {one['file']: one for one in read_json(plan.out / MANIFEST, 'out')['shards'] or ()}
    _remove_leftovers(plan.out)
    shards = []
    for number, shard in enumerate(_run(plan, workers)):
        shards.append(shard)
        tell(number, plan.shards, shard)
    manifest = read_json(plan.out / MANIFEST, 'out')
    manifest['crops'] = sum(shard['crops'] for shard in shards)
    manifest['unreadable'] = sum(shard['unreadable'] for shard in shards)
    manifest['bytes'] = sum(shard['bytes'] for shard in shards)
    manifest['sizes_sha256'] = _write_sizes(plan)
    manifest['shards'] = shards
    write_json(plan.out / MANIFEST, manifest)
    return manifest


def _write_sizes(plan: '_Plan') -> str | None:
    """Write the sizes of all images that are known; not where whole images are the instances."""
    images = plan.dataset.data_list
    if 'size' not in images.columns:
        return None
    sizes, folder = images.columns['size'], images.folder
    known = np.flatnonzero(images.columns['measured'] | np.isfinite(sizes).all(axis=1))
    names = Texts.of(image_name(images.path(int(image)), folder) for image in known)
    return write_sizes(plan.out, names, sizes[known])


class _Plan:
    """Which instances go into which shard, and how."""

    def __init__(self, dataset: Any, out: Path, options: Options):
        self.dataset = dataset
        self.out = out
        self.options = options
        self.reach = _reach(dataset, options)
        self.loader = _loader(dataset)
        self.order = _by_image(dataset)
        self.shards = -(-len(self.order) // options.shard_size)
        self.known: dict[str, dict[str, Any]] = {}  # of a store that was whole, by the files

    def fingerprint(self) -> str:
        """Of all instances with their images and boxes, in their order."""
        digest = hashlib.sha256()
        for index in self.order:
            sample = self.dataset.get_data_info(index)
            digest.update(json.dumps([str(sample['id']), self.name(sample)]).encode())
            digest.update(given_box(sample).tobytes())
        return digest.hexdigest()

    def name(self, sample: dict) -> str:
        """Of an image, below the data set's folder."""
        return image_name(sample['img_path'], self.dataset.data_prefix['img'])


def _reach(dataset: Any, options: Options) -> Reach | None:
    """How far the crops reach; None where it is not known and need not be."""
    try:
        return find_reach(dataset.pipeline.transforms)
    except UnknownReachError:
        if options.margin is None:
            raise
        if options.shrink:
            raise ValueError(
                f'margin={options.margin} does not go with shrink=True here: how much the pipeline '
                'enlarges a crop is not known'
            ) from None
        return None


def _loader(dataset: Any) -> LoadImage:
    """What reads whole images as the pipeline does."""
    steps = dataset.pipeline.transforms
    step = next((step for step in steps if isinstance(step, LoadImageFromFile)), None)
    if step is None:
        raise ValueError('the pipeline of the data set loads no image')
    if step.to_float32 or step.color_type != 'color':
        raise ValueError(
            f'{type(step).__name__}: to_float32={step.to_float32} and color_type='
            f'{step.color_type!r} cannot be stored; it must load 8-bit color'
        )
    return LoadImage(imdecode_backend=step.imdecode_backend, backend_args=step.backend_args)


def _by_image(dataset: Any) -> list[int]:
    """The instances image by image, the images in a random order that is always the same."""
    dataset.full_init()
    numbers, places = np.unique(dataset.data_list.images, return_inverse=True)
    rank = np.random.default_rng(0).permutation(len(numbers))
    return np.argsort(rank[places], kind='stable').tolist()


def _run(plan: _Plan, workers: int) -> Iterator[dict[str, Any]]:
    """Write the shards that are missing; what the manifest has of each, in their order."""
    write = partial(_write_shard, plan)
    if workers == 1:
        yield from map(write, range(plan.shards))
        return
    global _inherited
    _inherited = plan
    with ProcessPoolExecutor(workers, multiprocessing.get_context('fork')) as pool:
        yield from pool.map(_write_inherited, range(plan.shards))


_inherited: _Plan | None = None
"""What the processes of a pool get by being forked, for a data set is slow to send."""


def _write_inherited(number: int) -> dict[str, Any]:
    cv2.setNumThreads(0)
    assert _inherited is not None
    return _write_shard(_inherited, number)


def _write_shard(plan: _Plan, number: int) -> dict[str, Any]:
    """Write a shard if it is not there whole; what the manifest has of it."""
    index, path = index_path(plan.out, number), shard_path(plan.out, number)
    if not _is_whole(path, index, plan.known.get(path.name)):
        _write_files(plan, number, index)
    with np.load(index) as arrays:
        return {
            'file': path.name,
            'crops': len(arrays['ids']),
            'unreadable': len(arrays['unreadable']),
            'bytes': path.stat().st_size,
            'sha256': str(arrays['sha256']),
            'index_sha256': file_sha256(index),
        }


def _is_whole(path: Path, index: Path, known: Mapping[str, Any] | None) -> bool:
    """Whether a shard and its index were written to the end, and none was cut off since.

    Args:
        path, index: the files.
        known: what the manifest has of them, if the store was whole.
    """
    if not (index.is_file() and path.is_file()):
        return False
    size = path.stat().st_size
    if known:
        return (size, file_sha256(index)) == (known['bytes'], known['index_sha256'])
    try:
        with np.load(index) as arrays:
            if 'bytes' in arrays:
                return size == int(arrays['bytes'])
            return file_sha256(path) == str(arrays['sha256'])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


def _write_files(plan: _Plan, number: int, index: Path) -> None:
    lmdb = import_optional('lmdb', 'a store of crops')
    path = shard_path(plan.out, number)
    new = path.with_name(f'.{path.name}.{socket.gethostname()}.{os.getpid()}')
    size = plan.options.shard_size
    rows: list[dict[str, Any]] = []
    unreadable: list[tuple[str, str]] = []
    try:
        # no lock: nobody else knows of this file
        environment = lmdb.open(str(new), subdir=False, map_size=MAP_SIZE, lock=False)
        try:
            with environment.begin(write=True) as transaction:
                images = _Images(plan)
                for instance in plan.order[number * size : (number + 1) * size]:
                    try:
                        row, content = images.crop(instance)
                    except UnreadableImageError as error:
                        if plan.dataset.test_mode:
                            raise
                        sample = plan.dataset.get_data_info(instance)
                        unreadable.append((str(sample['id']), str(error)))
                        continue
                    transaction.put(crop_key(len(rows)).encode('ascii'), content, append=True)
                    rows.append(row)
            environment.sync(True)
        finally:
            environment.close()
        new.replace(path)
    except lmdb.Error as error:
        raise OSError(
            f'{path} cannot be written: {error}; is the disk full, or is virtual memory limited '
            '(ulimit -v)?'
        ) from error
    finally:
        new.unlink(missing_ok=True)
    ids, reasons = zip(*unreadable, strict=True) if unreadable else ((), ())
    write_arrays(
        index,
        {
            **crop_arrays(rows),
            'unreadable': np.array(ids, np.str_),
            'reasons': np.array(reasons, np.str_),
            'sha256': np.array(file_sha256(path)),
            'bytes': np.array(path.stat().st_size),
        },
    )


def _remove_leftovers(folder: Path) -> None:
    """Remove what processes of this machine that were killed had begun."""
    for path in folder.glob(f'.shard-*.lmdb.{glob.escape(socket.gethostname())}.*'):
        number = path.name.rpartition('.')[2]
        if number.isdecimal() and not _is_running(int(number)):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of somebody else
        return True
    return True


class _Images:
    """Reads images, and cuts out what is to be stored."""

    def __init__(self, plan: _Plan):
        self.plan = plan
        self.path = ''
        self.failure: UnreadableImageError | None = None

    def _load(self, path: str) -> np.ndarray:
        """The image of a file; the last one is kept."""
        if path != self.path:
            self.path, self.failure = path, None
            try:
                with decoding(path):
                    self.pixels = self.plan.loader({'img_path': path})['img']
            except UnreadableImageError as error:
                self.failure = error
        if self.failure is not None:
            raise self.failure
        return self.pixels

    def crop(self, index: int) -> tuple[dict[str, Any], bytes]:
        """An entry of :class:`~hsjp_mm.datasets.store.Crops` and the encoded bytes."""
        sample = self.plan.dataset.get_data_info(index)
        pixels = self._load(sample['img_path'])
        height, width = pixels.shape[:2]
        given = given_box(sample)
        checked = {**sample, 'img': pixels, 'ori_shape': (height, width)}
        self.plan.dataset.check_image(checked)
        box = checked['bbox'][0]
        region, factor = stored_region(box, (width, height), self.plan.reach, self.plan.options)
        picture = _cut(pixels, region, factor)
        content = _encode(picture, self.plan.options)
        row = {
            'ids': str(sample['id']),
            'names': self.plan.name(sample),
            'given': given,
            'boxes': box,
            'sizes': (width, height),
            'regions': region,
            'pictures': picture.shape[1::-1],
            'sums': zlib.crc32(content),
        }
        return row, content


def stored_region(
    box: np.ndarray, size: tuple[int, int], reach: Reach | None, options: Options
) -> tuple[tuple[int, int, int, int], int]:
    """What is stored of an image for a box.

    Args:
        box: (4,) left, top, right, bottom.
        size: (width, height) of the image.
        reach: of the crops, if it is known.
        options: how crops are stored.

    Returns:
        Left, top, width and height of the part, in whole pixels; and how many of its pixels along
        a side become one.
    """
    center, sides = (box[:2] + box[2:]).astype(float) / 2, (box[2:] - box[:2]).astype(float)
    factor = 1
    if options.shrink:
        assert reach is not None
        factor = max(1, int(1 / reach.magnifications(sides[None])[0] + 1e-6))
    if options.margin is not None:
        extent = np.full(2, options.margin * sides.max() / 2)
    else:
        assert reach is not None
        extent = reach.extents(sides[None])[0]
    last = np.array(size) - 1
    slack = SLACK * factor
    first = np.floor(center - extent - slack).clip(0, last).astype(int)
    beyond = np.ceil(center + extent + slack).clip(0, last).astype(int) + 1
    first = first // BLOCK * BLOCK
    beyond = np.minimum(-(-beyond // BLOCK) * BLOCK, size)
    width, height = beyond - first
    return (int(first[0]), int(first[1]), int(width), int(height)), factor


def _cut(pixels: np.ndarray, region: tuple[int, int, int, int], factor: int) -> np.ndarray:
    left, top, width, height = region
    part = pixels[top : top + height, left : left + width]
    if factor == 1:
        return part
    size = (-(-width // factor), -(-height // factor))
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA)  # each pixel a mean


def _encode(picture: np.ndarray, options: Options) -> bytes:
    flags = {
        'jpg': [
            cv2.IMWRITE_JPEG_QUALITY, options.quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ],
        'webp': [cv2.IMWRITE_WEBP_QUALITY, options.quality],
    }  # fmt: skip
    done, content = cv2.imencode(f'.{options.format}', picture, flags[options.format])
    if not done:
        raise ValueError(
            f'a crop of {picture.shape[1]}×{picture.shape[0]} pixels cannot be encoded as '
            f'format={options.format!r}'
        )
    return content.tobytes()
