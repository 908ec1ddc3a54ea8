"""Files: where the package's own are, hashes, and JSON that is there whole or not at all."""

import hashlib
import json
import os
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


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON so that the file is there whole or not at all, whenever the process is killed."""
    path = Path(path)
    new = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        new.write_text(json.dumps(value, indent=1) + '\n', encoding='utf-8')
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is no JSON: {error}') from error
