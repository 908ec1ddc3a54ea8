"""Lists in JSON files, decoded some rows at a time: a whole one takes 500 bytes a box and more."""

import codecs
import gc
import json
import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import msgspec

from hsjp_mm.utils.files import existing_file, read_json

CHUNK = 100_000
"""Rows that are decoded at a time."""
Result = TypeVar('Result')


def use_json(path: str | Path, argument: str, use: Callable[[Any], Result]) -> Result:
    """Call a function with what a JSON file holds, of which it decodes the lists by :func:`chunks`.

    Args:
        path, argument: as in :func:`~hsjp_mm.utils.files.read_json`.
        use: is given the content. Its list, or those that are values of its dictionary, are not
            decoded yet. It is called twice where the fast reader finds that it cannot read the
            file: the second time with what Python's reader makes of it, which takes NaN and
            Infinity, and which says what is wrong with a file that is no JSON.

    Returns:
        What ``use`` returned.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no JSON.
    """
    existing_file(path, argument)
    with _without_collector():
        with suppress(msgspec.DecodeError, RecursionError):
            return use(_undecoded(path))
        return use(read_json(path, argument))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Stop looking for garbage that refers to itself, of which JSON has none.

    It takes half of the time, for so many dictionaries are made.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def is_list(value: Any) -> bool:
    """Whether a value of such a content is a list, decoded or not."""
    return isinstance(value, list | msgspec.Raw)


def decoded(value: Any) -> Any:
    """A value of such a content, whole."""
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


def chunks(rows: Any, keys: Sequence[str] = ()) -> Iterator[list]:
    """Go through a list of dictionaries.

    Args:
        rows: a list of such a content.
        keys: of the dictionaries that are needed; the others may be skipped. All by default.

    Yields:
        Up to :data:`CHUNK` rows each; of an empty list, one time none.
    """
    if not isinstance(rows, msgspec.Raw):
        yield from (rows[start : start + CHUNK] for start in range(0, len(rows) or 1, CHUNK))
        return
    row: Any = TypedDict('Row', {key: Any for key in keys}, total=False) if keys else Any  # type: ignore[misc,operator]
    decode = msgspec.json.Decoder(row).decode
    parts: list[msgspec.Raw] = msgspec.json.decode(rows, type=list[msgspec.Raw])
    for start in range(0, len(parts) or 1, CHUNK):
        yield [decode(part) for part in parts[start : start + CHUNK]]


def _undecoded(path: str | Path) -> Any:
    """A list as it stands in the file, or a dictionary with lists as they stand in the file.

    Raises:
        msgspec.DecodeError: the fast reader cannot read it.
    """
    with open(path, 'rb') as file:
        head = file.read(4)
        if json.detect_encoding(head) not in ('utf-8', 'utf-8-sig') or not head:
            raise msgspec.DecodeError('it is in another encoding, or empty')
        # stays open as long as a list of it does
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    data = data[3:] if head.startswith(codecs.BOM_UTF8) else data
    first = bytes(data[:1000]).lstrip()[:1]
    if first == b'[':
        return msgspec.Raw(data)
    if first != b'{':
        return msgspec.json.decode(data)
    values: dict[str, msgspec.Raw] = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    return {
        key: value if memoryview(value)[:1] == b'[' else msgspec.json.decode(value)
        for key, value in values.items()
    }
