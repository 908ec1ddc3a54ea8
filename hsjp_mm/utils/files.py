"""Files: where the package's own are, hashes, and how text and JSON are read and written."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1] / '.mim'
"""The folder of the configs and tools, which are links in a clone and copies in a wheel."""


def file_sha256(path: str | Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def existing_file(path: str | Path, argument: str) -> Path:
    """Expect a file.

    Args:
        path: of the file.
        argument: what names it in messages: an argument of a function, or a flag.

    Raises:
        FileNotFoundError: no such file.
    """
    if Path(path).is_dir():
        raise FileNotFoundError(f'{argument}={str(path)!r} is a folder; give a file in it')
    if not Path(path).is_file():
        raise FileNotFoundError(f'{argument}={str(path)!r} does not exist, or is no file')
    return Path(path)


def existing_folder(path: str | Path, argument: str) -> Path:
    """Expect a folder; arguments and errors as in :func:`existing_file`."""
    if not Path(path).is_dir():
        raise FileNotFoundError(f'{argument}={str(path)!r} does not exist, or is no folder')
    return Path(path)


def existing_path(path: str | Path, argument: str) -> Path:
    """Expect a file or folder; arguments and errors as in :func:`existing_file`."""
    if not Path(path).exists():
        raise FileNotFoundError(f'{argument}={str(path)!r} does not exist')
    return Path(path)


def writable_file(path: str | Path, argument: str, suffix: str = '') -> Path:
    """Expect the path of a file that can be written; its folders may have to be made.

    Args:
        path: of the file, which may be there already.
        argument: what names it in messages: an argument of a function, or a flag.
        suffix: what its name must end in, such as '.npz'.

    Raises:
        ValueError: another suffix.
        IsADirectoryError: a folder.
        NotADirectoryError: a part of the path is a file.
        PermissionError: it may not be written.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f'{argument}={str(path)!r} is a folder; give the name of a file')
    if suffix and Path(path).suffix != suffix:
        raise ValueError(f'{argument}={str(path)!r} must end in {suffix}')
    return _writable(path, argument)


def writable_folder(path: str | Path, argument: str) -> Path:
    """Expect a folder that can be written in or made; arguments and errors as for a file."""
    if Path(path).exists() and not Path(path).is_dir():
        raise NotADirectoryError(f'{argument}={str(path)!r} is a file; give the name of a folder')
    return _writable(path, argument)


def _writable(path: str | Path, argument: str) -> Path:
    """Check the path, or else the nearest folder above it that is there."""
    there = Path(path)
    while not there.exists():
        there = there.parent
        if there.is_file():
            raise NotADirectoryError(
                f'{argument}={str(path)!r} cannot be written: {there} is a file and no folder'
            )
    if not os.access(there, os.W_OK):
        raise PermissionError(f'{argument}={str(path)!r} cannot be written: {there} is read-only')
    return Path(path)


def is_same_file(first: str | Path, second: str | Path) -> bool:
    """Whether two paths lead to one file that is there."""
    first, second = Path(first).expanduser(), Path(second).expanduser()
    return first.is_file() and second.is_file() and first.samefile(second)


def is_address(name: str) -> bool:
    """Whether a file is named by its http(s) address."""
    return name.startswith(('http://', 'https://'))


def checkpoint_file(name: str, argument: str = 'checkpoint') -> Path:
    """Expect the file of a checkpoint, or an address, which is not looked up.

    Args:
        name: its path or address.
        argument: what names it in messages.

    Raises:
        FileNotFoundError: no such file.
    """
    path = Path(name).expanduser()
    if not is_address(name) and not path.is_file():
        raise FileNotFoundError(
            f'{argument}={name!r} is not a file; allowed are a path and an http(s) address '
            "(other schemes, torchvision:// for one, work with init_cfg type='Pretrained')"
        )
    return path


def read_text(path: str | Path, argument: str) -> str:
    """Read a text file in UTF-8, UTF-16 or UTF-32, with or without a byte-order mark.

    Windows tools write all three; Python's own JSON reader tells them apart, for other text too.

    Args:
        path, argument: as in :func:`existing_file`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another encoding.
    """
    data = existing_file(path, argument).read_bytes()
    try:
        return data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise ValueError(
            f'{argument}={str(path)!r} must be text in UTF-8 (or UTF-16); line {line} is in '
            f'another encoding: {error}'
        ) from error


def read_json(path: str | Path, argument: str) -> Any:
    """Read a JSON file.

    Args:
        path, argument: as in :func:`existing_file`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no JSON.
    """
    text = read_text(path, argument)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{argument}={str(path)!r} is no JSON: {error}') from error


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Make a ValueError of what a reader raises at damaged bytes, which is almost anything.

    Args:
        what: Which file cannot be read, and as what; the beginning of the message.

    Raises:
        ValueError: The reader failed.
        FileNotFoundError, PermissionError: As they are.
    """
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        raise ValueError(f'{what}: {str(error) or type(error).__name__}') from error


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Let a file be there whole or not at all, whenever the process is killed.

    The folders on its way are made.

    Args:
        path: Of the file; one that is there is replaced.

    Yields:
        Where to write, beside it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text, as :func:`written_whole` says."""
    with written_whole(path) as new:
        new.write_text(text, encoding='utf-8')


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON as :func:`write_text` does."""
    write_text(path, json.dumps(value, indent=1) + '\n')


def write_arrays(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write a ``.npz``, whole or not at all; the same arrays make the same bytes.

    The folders on its way are made.
    """
    import numpy as np  # the commands read their arguments before they wait for it

    with written_whole(path) as new, new.open('wb') as file:
        np.savez_compressed(file, **{key: arrays[key] for key in sorted(arrays)})


def make_whole(folder: str | Path, make: Callable[[Path], object]) -> None:
    """Make a folder if it is not there; one that could not be finished is made anew.

    Of several processes one makes it, and the others wait.

    Args:
        folder: Which is there once it is whole.
        make: Writes to the path that it is given, beside ``folder``.
    """
    folder = Path(folder)
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be making it
        if folder.is_dir():
            return
        part = folder.with_name(f'{folder.name}.part')
        if part.exists():
            shutil.rmtree(part)
        make(part)
        part.rename(folder)
    finally:
        os.close(lock)
