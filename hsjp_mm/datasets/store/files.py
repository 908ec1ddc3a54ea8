"""What a store of crops is on the disk.

``manifest.json`` says what made it and which shards it has. ``sizes.npz`` has the sizes of all
images of an ``ann_file``, also of those that have no crop. A shard is ``shard-00000.lmdb``, an LMDB
file with the encoded crops by their number in it, and ``shard-00000.npz``, what has to be known of
each. The latter is written last: a shard that has it is whole.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsjp_mm.datasets.instances import Texts
from hsjp_mm.utils.files import file_sha256, read_json, reading, write_arrays, write_json

VERSION = 1
FORMATS = ('jpg', 'webp')
MANIFEST = 'manifest.json'
SIZES = 'sizes.npz'


@dataclass(frozen=True)
class Crops:
    """What is known of N crops; coordinates are pixels of the image, sizes (width, height).

    Attributes:
        ids: (N,) of the instances, as text.
        names: (N,) of their images, below the data set's folder.
        given: (N, 4) the boxes as the data set has them; NaN where the image is the instance.
        boxes: (N, 4) the boxes in the image as it is read, which EXIF may have turned.
        sizes: (N, 2) of the images as they are read.
        regions: (N, 4) left, top, width and height of what is stored.
        pictures: (N, 2) in which size it is stored.
        sums: (N,) CRC-32 of the encoded bytes.
    """

    ids: np.ndarray
    names: np.ndarray
    given: np.ndarray
    boxes: np.ndarray
    sizes: np.ndarray
    regions: np.ndarray
    pictures: np.ndarray
    sums: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


KINDS: dict[str, tuple[type, tuple[int, ...]]] = {
    'ids': (np.str_, ()),
    'names': (np.str_, ()),
    'given': (np.float32, (4,)),
    'boxes': (np.float32, (4,)),
    'sizes': (np.int32, (2,)),
    'regions': (np.int32, (4,)),
    'pictures': (np.int32, (2,)),
    'sums': (np.uint32, ()),
}
"""Type and shape of an entry of each attribute of :class:`Crops`."""


def shard_path(folder: str | Path, number: int) -> Path:
    """The LMDB file of a shard."""
    return Path(folder, f'shard-{number:05d}.lmdb')


def index_path(folder: str | Path, number: int) -> Path:
    """The file that says what the crops of a shard are."""
    return shard_path(folder, number).with_suffix('.npz')


def crop_key(place: int) -> str:
    """The key of a crop in the LMDB file of its shard."""
    return f'{place:08d}'


def given_box(sample: dict) -> np.ndarray:
    """The box of an instance as the data set has it, (4,); NaN where the image is the instance."""
    return sample['bbox'][0] if 'bbox' in sample else np.full(4, np.nan, np.float32)


def image_name(path: str, folder: str) -> str:
    """The path of an image below the data set's folder, with slashes.

    It does not depend on the working folder.
    """
    inside = bool(folder) and os.path.isabs(path) == os.path.isabs(folder)
    name = os.path.relpath(path, folder) if inside else os.path.normpath(path)
    return name.replace('\\', '/')


def crop_arrays(rows: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Make the arrays of :class:`Crops` from a mapping for each crop."""
    rows = list(rows)
    return {
        name: np.array([row[name] for row in rows], kind).reshape(-1, *shape)
        for name, (kind, shape) in KINDS.items()
    }


def read_crops(folder: str | Path, shards: int) -> tuple[Crops, np.ndarray, np.ndarray]:
    """Read what the crops of a store are.

    Args:
        folder: of the store.
        shards: how many it has.

    Returns:
        The crops; how many each shard has, (S,); the ids of the instances without a readable
        image, (M,).

    Raises:
        FileNotFoundError: the file of a shard is missing.
        ValueError: it is damaged.
    """
    parts, missing = [], []
    for number in range(shards):
        path = index_path(folder, number)
        if not path.is_file():
            raise FileNotFoundError(f'store={str(folder)!r} lacks {path.name}')
        with _opened(path) as arrays:
            parts.append({name: arrays[name] for name in KINDS})
            missing.append(arrays['unreadable'])
    counts = np.array([len(part['ids']) for part in parts], int)
    crops = Crops(**{name: np.concatenate([part[name] for part in parts]) for name in KINDS})
    return crops, counts, np.concatenate(missing)


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of a file of a store; what is damaged is told when they are read."""
    with (
        reading(f'{path} is damaged; copy the store anew, or write it anew'),
        np.load(path) as file,
    ):
        yield file


def write_sizes(folder: Path, names: Texts, sizes: np.ndarray) -> str:
    """Write the sizes of images, and get the SHA-256 of the file.

    Args:
        folder: of the store.
        names: (I,) of the images, below the data set's folder.
        sizes: (I, 2) width and height; NaN where an image cannot be read.
    """
    arrays = {'names': names.data, 'ends': names.ends, 'sizes': sizes}
    write_arrays(folder / SIZES, arrays)
    return file_sha256(folder / SIZES)


def read_sizes(folder: str | Path) -> tuple[Texts, np.ndarray]:
    """Read what :func:`write_sizes` has written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    if not Path(folder, SIZES).is_file():
        raise FileNotFoundError(
            f'store={str(folder)!r} lacks {SIZES}, the sizes of images, of which ann_file lacks '
            'some; copy it, or write the store anew'
        )
    with _opened(Path(folder, SIZES)) as arrays:
        return Texts(arrays['names'], arrays['ends']), arrays['sizes']


def read_manifest(folder: str | Path, argument: str = 'store') -> dict[str, Any]:
    """Read what made a store, of one that is whole.

    Args:
        folder: of the store.
        argument: what names it in messages.

    Raises:
        FileNotFoundError: there is no store.
        ValueError: it is not whole, or of another version.
    """
    named = f'{argument}={str(folder)!r}'
    if not Path(folder, MANIFEST).is_file():
        raise FileNotFoundError(f'{named} is no store of crops: it has no {MANIFEST}')
    manifest = read_json(Path(folder, MANIFEST), argument)
    if manifest.get('version') != VERSION:
        raise ValueError(
            f'{named} has the version {manifest.get("version")!r}, this hsjp_mm reads {VERSION}; '
            'write it anew'
        )
    if manifest.get('shards') is None:
        raise ValueError(
            f'{named} is not whole: the command that writes it, given once more, goes on where it '
            'stopped'
        )
    return manifest


def begin_manifest(folder: Path, made_by: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    """Write what is about to make a store, or see that it is what began to make this one.

    Args:
        folder: of the store.
        made_by: what decides its bytes.
        source: where the instances come from, which may have moved since.

    Raises:
        ValueError: the folder holds a store that something else makes.
    """
    path = folder / MANIFEST
    wanted = json.loads(json.dumps({'version': VERSION, **made_by}))
    if not path.exists():
        write_json(path, {**wanted, 'dataset': dict(source), 'shards': None})
        return
    begun = read_json(path, 'out')
    differ = [key for key, value in wanted.items() if begun.get(key) != value]
    if differ:
        told = '; '.join(f'{key} was {_short(begun.get(key))}' for key in differ)
        now = '; '.join(f'{key}={_short(wanted[key])}' for key in differ)
        raise ValueError(
            f'out={str(folder)!r} holds a store that was begun otherwise: {told}; now {now}. Give '
            'another folder, or delete this one'
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f'{text[:120]}…'


def plain(value: Any) -> Any:
    """Turn what stands in a config into what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return repr(value)


def unreadable(folder: str | Path) -> list[tuple[str, str]]:
    """The ids of the instances that a whole store lacks, and why their images cannot be read."""
    found: list[tuple[str, str]] = []
    for number in range(len(read_manifest(folder)['shards'])):
        with _opened(index_path(folder, number)) as arrays:
            found += zip(arrays['unreadable'].tolist(), arrays['reasons'].tolist(), strict=True)
    return found
