"""Reading the crops of a store, in whatever process asks for them."""

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import LmdbBackend

from hsjp_mm.datasets.encoded_images import EncodedImage, Region
from hsjp_mm.datasets.image_files import UnreadableImageError
from hsjp_mm.datasets.instances import Instances
from hsjp_mm.datasets.store.files import (
    SIZES,
    crop_key,
    given_box,
    image_name,
    index_path,
    read_crops,
    read_manifest,
    read_sizes,
    shard_path,
)
from hsjp_mm.utils.files import file_sha256
from hsjp_mm.utils.optional import import_optional

BOX_TOLERANCE = 0.1
"""In pixels; what is stored around a box holds as much more than the crops need."""

_opened: dict[str, tuple[int, LmdbBackend]] = {}
"""By file: the process that opened it, and how it reads; LMDB lets a process open it only once."""


class CropStore:
    """The crops of a store, which take the place of image files.

    It holds no open file, so that it can be copied to other processes; each opens a shard when it
    first reads a crop of it.

    Args:
        folder: of the store.

    Raises:
        FileNotFoundError: it is not there, or lacks what says which crops a shard has.
        ValueError: it is not whole.
        ImportError: lmdb is not installed.
    """

    def __init__(self, folder: str):
        import_optional('lmdb', 'a store of crops')
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.crops, counts, self.unreadable = read_crops(folder, len(self.manifest['shards']))
        self.shards = np.repeat(np.arange(len(counts)), counts)
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        self.checked: set[int] = set()

    def __len__(self) -> int:
        return len(self.crops)

    def sizes_of(self, names: Sequence[str]) -> np.ndarray:
        """(width, height) of images by their names, (N, 2); NaN where one could not be read.

        Raises:
            FileNotFoundError: the store lacks the file of the sizes.
            ValueError: it had no size of an image when it was written.
        """
        places, sizes = self._sizes
        odd = [name for name in names if name not in places]
        if odd:
            raise ValueError(
                f'store={self.folder!r} has no size of {len(odd)} images, such as '
                f'{", ".join(odd[:3])}, and ann_file gives none. It was made of '
                f'{_source(self.manifest["dataset"])}'
            )
        return sizes[[places[name] for name in names]].reshape(-1, 2)

    @cached_property
    def _sizes(self) -> tuple[dict[str, int], np.ndarray]:
        """The place of each image by its name, and sizes: those that were seen when it was read."""
        names, sizes = read_sizes(self.folder)
        places = {name: place for place, name in enumerate(names)}
        own = [places[name] for name in self.crops.names.tolist()]
        sizes[own] = self.crops.sizes
        return places, sizes

    def take(self, instances: Instances) -> Instances:
        """Take the instances that have a crop.

        Returns:
            Those whose image could be read when the store was written, each with ``stored``, the
            place of its crop, and ``shard``, the number of the file that holds it.

        Raises:
            ValueError: an instance is not in the store, or has another image or box there.
        """
        known = {key: place for place, key in enumerate(self.crops.ids.tolist())}
        unreadable = set(self.unreadable.tolist())
        places = np.full(len(instances), -1)
        wrong: dict[str, list[str]] = {}
        for number, instance in enumerate(instances):
            key = str(instance['id'])
            place = known.get(key)
            if place is not None:
                places[number] = place
                name = image_name(instance['img_path'], instances.folder)
                for what in self._differences(place, name, given_box(instance)):
                    wrong.setdefault(what[0], []).append(f'{key} ({what[1]})')
            elif key not in unreadable:
                wrong.setdefault('not in it', []).append(key)
        if wrong:
            told = '; '.join(
                f'{what}: {len(keys)}, such as {", ".join(keys[:3])}'
                for what, keys in wrong.items()
            )
            raise ValueError(
                f'store={self.folder!r} does not fit the data set; of {len(instances)} instances '
                f'are {told}. It was made of {_source(self.manifest["dataset"])}'
            )
        return instances.with_crops(places, np.append(self.shards, -1)[places])

    def _differences(self, place: int, name: str, box: np.ndarray) -> Iterator[tuple[str, str]]:
        stored, given = str(self.crops.names[place]), self.crops.given[place]
        if stored != name:
            yield 'of another image', f'{stored} in the store, {name} here'
        elif not np.allclose(given, box, rtol=0, atol=BOX_TOLERANCE, equal_nan=True):
            told = [np.round(one, 1).tolist() for one in (given, box)]
            yield 'with another box', f'{told[0]} in the store, {told[1]} here'

    def load(self, sample: dict, reducible: bool) -> dict:
        """Put the crop of a sample into ``img``, where it stands for the whole image.

        Args:
            sample: with ``stored``, the place of its crop.
            reducible: whether it may be decoded smaller than it is stored.

        Raises:
            UnreadableImageError: the crop is damaged.
            FileNotFoundError: its shard is not here.
        """
        place = sample['stored']
        label = f' (instance {sample["id"]}, in {self._file(place)})'
        content = self.encoded(place, sample['img_path'])
        image = stored_image(content, self.describe(place), sample['img_path'], label)
        image.reducible = reducible and self.manifest['format'] == 'jpg'
        sample['img'] = image
        sample['img_shape'] = sample['ori_shape'] = image.shape[:2]
        self._set_box(sample, place)
        return sample

    def _file(self, place: int) -> Path:
        return shard_path(self.folder, int(self.shards[place]))

    def describe(self, place: int) -> dict[str, Any]:
        """What has to be known of a crop, as JSON can hold it.

        Returns:
            ``id`` and ``name`` of the image, ``box`` and ``size`` in it, ``region``, what of it is
            stored, and ``picture``, in which size; see :class:`~hsjp_mm.datasets.store.Crops`.
        """
        crops = self.crops
        return {
            'id': str(crops.ids[place]),
            'name': str(crops.names[place]),
            'box': crops.boxes[place].tolist(),
            'size': crops.sizes[place].tolist(),
            'region': crops.regions[place].tolist(),
            'picture': crops.pictures[place].tolist(),
        }

    def encoded(self, place: int, path: str = '') -> bytes:
        """The bytes of a crop, as the format of the store has them.

        Args:
            place: of the crop.
            path: of its image, for messages.

        Raises:
            UnreadableImageError: they are damaged.
            FileNotFoundError: their shard is not here.
        """
        content = self._read(place)
        if content is None or zlib.crc32(content) != self.crops.sums[place]:
            raise UnreadableImageError(
                f'{path} (instance {self.crops.ids[place]}) cannot be read: '
                f'{self._file(place)} is damaged there',
                path,
            )
        return content

    def _set_box(self, sample: dict, place: int) -> None:
        """Take the box of an image that is an instance, or that EXIF turns."""
        given, box = self.crops.given[place], self.crops.boxes[place]
        if np.isnan(given).any():
            sample['bbox_score'] = np.ones(1, np.float32)
        if not np.array_equal(given, box):
            sample['bbox'] = box[None].copy()

    def _read(self, place: int) -> bytes | None:
        """The bytes of a crop; None if LMDB does not find them."""
        import lmdb

        shard = int(self.shards[place])
        try:
            backend = _open(self._file(place), self.manifest['shards'][shard]['bytes'])
            return backend.get(crop_key(place - int(self.starts[shard])))
        except lmdb.Error:
            return None

    def check_reach(self, steps: Sequence[Any]) -> None:
        """See once in each process that the crops hold what a pipeline can show of them.

        Of a pipeline whose reach is not known, each crop is looked at when it is cut.

        Raises:
            ValueError: they do not.
        """
        if os.getpid() in self.checked:
            return
        self.checked.add(os.getpid())
        # here, for transforms import the data sets
        from hsjp_mm.datasets.store.reach import UnknownReachError, find_reach

        try:
            reach = find_reach(steps)
        except UnknownReachError:
            return
        crops = self.crops
        boxes = crops.boxes.astype(float)
        centers, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        extents = reach.extents(sides)
        last = crops.sizes - 1
        low, high = ((centers + sign * extents).clip(0, last) for sign in (-1, 1))
        first = crops.regions[:, :2]
        beyond = first + crops.regions[:, 2:] - 1
        short = ((low < first - 1e-3) | (high > beyond + 1e-3)).any(axis=1)
        self._require(short, 'reach beyond what is stored', '')
        enlarged = (crops.pictures / crops.regions[:, 2:]).min(axis=1)
        shrunk = (enlarged < 1) & (reach.magnifications(sides) > enlarged * (1 + 1e-3))
        self._require(shrunk, 'need more pixels than are stored', ', or without shrink')

    def _require(self, wrong: np.ndarray, what: str, otherwise: str) -> None:
        if wrong.any():
            key = self.crops.ids[np.flatnonzero(wrong)[0]]
            raise ValueError(
                f'store={self.folder!r}: of {len(wrong)} crops {int(wrong.sum())} {what}, by the '
                f'augmentation of this pipeline, such as that of instance {key}; write a store for '
                f'this config{otherwise}'
            )


def stored_image(
    content: bytes, crop: Mapping[str, Any], path: str, label: str = ''
) -> EncodedImage:
    """Make what stands for the whole image in a sample.

    Args:
        content: the encoded crop.
        crop: as :meth:`CropStore.describe` tells it.
        path: of the image, for messages.
        label: says more about it in messages.
    """
    left, top, width, height = crop['region']
    region = Region(left, top, width, height, tuple(crop['picture']))
    return EncodedImage(
        content, path, tuple(crop['size']), (False, False), label, region, reducible=False
    )


def _open(file: Path, size: int) -> LmdbBackend:
    """The backend that reads a shard in this process."""
    path = os.path.realpath(file)
    process, backend = _opened.get(path, (0, None))
    if backend is not None and process == os.getpid():
        return backend
    if not file.is_file():
        raise FileNotFoundError(
            f'{file} is not here; where a machine has some of the shards, '
            'hsjp_mm.PartSampler keeps to them'
        )
    if file.stat().st_size != size:  # LMDB maps what it believes to be there, and the process dies
        raise ValueError(
            f'{file} has {file.stat().st_size} bytes, and should have {size}; copy it anew'
        )
    if backend is not None and backend._client is not None:
        backend._client.close()  # that of the parent, of which this process has a copy
        backend._client = None
    backend = LmdbBackend(path, readonly=True, lock=False, subdir=False)
    _opened[path] = os.getpid(), backend
    return backend


def _source(made_of: Mapping[str, Any]) -> str:
    names = ('data_root', 'ann_file', 'bbox_file', 'image_list', 'data_prefix', 'held_out', 'part')
    return ', '.join(f'{name}={made_of[name]!r}' for name in names if made_of.get(name))


def check_store(folder: str) -> list[str]:
    """Read every byte of a store, and compare with what the manifest says.

    Returns:
        What is wrong, a sentence for each; shards that are not here included.

    Raises:
        FileNotFoundError, ValueError: see :func:`~hsjp_mm.datasets.store.read_manifest`.
    """
    manifest = read_manifest(folder)
    files = {}
    if manifest.get('sizes_sha256'):
        files[Path(folder, SIZES)] = manifest['sizes_sha256']
    for number, shard in enumerate(manifest['shards']):
        files[shard_path(folder, number)] = shard['sha256']
        files[index_path(folder, number)] = shard['index_sha256']
    wrong = []
    for path, expected in files.items():
        if not path.is_file():
            wrong.append(f'{path} is not here')
        elif file_sha256(path) != expected:
            wrong.append(f'{path} is damaged: its SHA-256 is not that of the manifest')
    return wrong
