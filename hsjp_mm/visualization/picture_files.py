"""Pictures as files: where they go, and written or else an error."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def picture_paths(folder: Path, names: Sequence[str], out: str | Path) -> list[Path]:
    """Where the PNGs go that are drawn of images, one for each; nothing is written.

    Args:
        folder: of the images.
        names: of them below it.
        out: folder of the pictures, which keep the images' subfolders and names.

    Raises:
        ValueError: two images would have the same picture, or a picture would replace an image.
    """
    paths: dict[Path, str] = {}
    for name in names:
        path = Path(out, name).with_suffix('.png')
        if path in paths:
            raise ValueError(
                f'images: {folder / paths[path]} and {folder / name} have the same name, so that '
                f'both pictures would be {path}'
            )
        paths[path] = name
    there = {_identity(path) for path in paths if path.exists()}
    for name in names:
        if _identity(folder / name) in there:
            raise ValueError(
                f'out={str(out)!r} must be another folder: a picture would replace {folder / name}'
            )
    return list(paths)


def _identity(path: Path) -> tuple[int, int]:
    """What a file has in common with its links, hard ones too."""
    found = path.stat()
    return found.st_dev, found.st_ino


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture; the folders on its way are made.

    Args:
        path: of the file, whose suffix says the format.
        picture: (H, W, 3), BGR, uint8.

    Raises:
        OSError: it cannot be written, of which OpenCV says nothing.
        ValueError: a suffix of no format.
    """
    if not cv2.haveImageWriter(str(path)):
        raise ValueError(f'{path} must end as a picture, such as .png or .jpg')
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise OSError(f'{path} cannot be written')
