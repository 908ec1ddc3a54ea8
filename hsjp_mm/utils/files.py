"""Files: their hashes."""

import hashlib
from pathlib import Path


def file_sha256(path: str | Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
