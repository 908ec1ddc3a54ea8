"""Instances kept in a file, from which a second start maps them into memory without reading them.

All processes of a machine share the pages of such a file: ranks, too, which share nothing else.
"""

import fcntl
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from hsjp_mm.datasets.instances import Texts

VERSION = 3
"""Of the format, and of what the columns mean. That of 2 kept what could not be read once, too."""
ENDS = '.ends'
"""What the names of the ends of texts have after that of the texts."""


class Kept(NamedTuple):
    """What a file keeps.

    Attributes:
        columns: as :class:`~hsjp_mm.datasets.instances.Instances` has them.
        about: more of it, fit for JSON.
        passing: why it may be another one at the next start, though the files are the same; then
            no file keeps it.
    """

    columns: dict[str, Any]
    about: dict[str, Any]
    passing: str = ''


def keep(
    folder: str | Path,
    sources: Sequence[str | Path],
    arguments: Mapping[str, Any],
    make: Callable[[], Kept],
) -> Kept:
    """Get what was kept of some files, or else make and keep it.

    Of several processes that come at once one makes it, and the others wait. What does not fit to
    the files any more, or is damaged, is made anew, and the log says so. Where the folder cannot be
    written to, or what was made may be another one next time, the log says that nothing is kept.

    Args:
        folder: of what is kept; is made.
        sources: the files. One that has another size or time than then has changed.
        arguments: whatever else decides what is made of them, fit for JSON.
        make: makes it.
    """
    paths = [os.path.abspath(source) for source in sources]
    name = hashlib.sha256(json.dumps([paths, arguments]).encode()).hexdigest()[:16]
    path = Path(folder, f'{Path(paths[0]).stem[:40]}-{name}.safetensors')
    state = json.dumps([VERSION, *([os.stat(p).st_size, os.stat(p).st_mtime_ns] for p in paths)])
    with _alone(path):
        kept = _read(path, state)
        return _write(path, state, make()) if kept is None else kept


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process makes the file; not where the folder takes no locks."""
    with ExitStack() as stack:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(path.with_suffix('.lock'), 'w'))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, state: str, kept: Kept) -> Kept:
    """Write a file, whole or not at all; and get what it keeps from it, if that can be."""
    if kept.passing:
        _log(f'nothing is kept in {path}: {kept.passing}', logging.WARNING)
        return kept
    arrays = _arrays(kept.columns)
    metadata = {'state': state, 'about': json.dumps(kept.about), 'sum': str(_checksum(arrays))}
    new = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        save_file(arrays, new, metadata)
        with open(new, 'rb') as file:
            os.fsync(file.fileno())  # else a crash may leave zeros under the last name
        new.replace(path)
    except (OSError, SafetensorError) as error:
        _log(f'nothing is kept in {path}: {error}', logging.WARNING)
        return kept
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
    _log(f'kept in {path}')
    return _read(path, state) or kept


def _read(path: Path, state: str) -> Kept | None:
    """Map a file into memory; None if it does not exist, fits no more or is damaged."""
    if not path.is_file():
        return None
    try:
        # numpy's own reader copies
        with safe_open(path, 'pt') as file:
            metadata = file.metadata()
            arrays = {key: file.get_tensor(key).numpy() for key in file.keys()}  # noqa: SIM118
        if metadata['state'] != state:
            _log(f'{path} is of another state of the files, and is made anew')
            return None
        if metadata['sum'] != str(_checksum(arrays)):
            raise ValueError('its checksum is wrong')
        return Kept(_columns(arrays), json.loads(metadata['about']))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        _log(f'{path} is damaged, and is made anew: {error}', logging.WARNING)
        return None


def _arrays(columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for key, column in columns.items():
        if isinstance(column, Texts):
            arrays |= {key: column.data, key + ENDS: column.ends}
        else:
            arrays[key] = column
    return arrays


def _columns(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {
        key: Texts(array, arrays[key + ENDS]) if key + ENDS in arrays else array
        for key, array in arrays.items()
        if not key.endswith(ENDS)
    }


def _checksum(arrays: Mapping[str, np.ndarray]) -> int:
    total = 0
    for key in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[key]).data, total)
    return total


def _log(message: str, level: int = logging.INFO) -> None:
    print_log(f'cache of boxes: {message}', 'current', level)
