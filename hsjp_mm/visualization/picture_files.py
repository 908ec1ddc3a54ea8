"""Where the pictures go that are drawn of images."""

from collections.abc import Sequence
from pathlib import Path


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
