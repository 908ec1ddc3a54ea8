"""Files: where the package's own are, and hashes."""

import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / '.mim'
"""The folder of the configs and tools, which are links in a clone and copies in a wheel."""


def file_sha256(path: str | Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
