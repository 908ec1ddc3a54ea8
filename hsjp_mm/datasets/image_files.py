"""Image files: found in folders, read, and told sound from damaged and upright from turned.

Sizes are (width, height) in pixels.
"""

import contextlib
import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

import cv2
import mmcv
import numpy as np
from PIL import Image

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
ORIENTATION, IMAGE_WIDTH, IMAGE_LENGTH = 0x0112, 0x0100, 0x0101
"""Tag of EXIF."""
DAMAGE = (
    'Corrupt JPEG data',
    'Premature end of JPEG file',
    'Inconsistent progression sequence',
    'Invalid SOS parameters',
    'libpng error',
)
"""What the decoders write of an image that is not as its camera wrote it; they write harmless
things too, such as of unknown color profiles."""


class UnreadableImageError(RuntimeError):
    """An image that cannot be read or decoded, that is damaged, or not the one annotated."""

    def __init__(self, message: str, path: str = ''):
        super().__init__(message)
        self.path = path


def find_images(folder: str | Path) -> list[str]:
    """Find the images in a folder and its subfolders.

    Links to folders are followed, and each folder is searched once, also where links make a circle
    or lead to it by two ways; a folder's own name goes before those by links.

    Returns:
        paths below the folder, sorted. A folder with the name of an image is none.
    """
    found: list[str] = []
    searched: set[str] = set()
    waiting = [str(folder)]
    while waiting:
        for place, folders, files in os.walk(waiting.pop(0)):  # follows no link
            real = os.path.realpath(place)
            if real in searched:
                folders.clear()
                continue
            searched.add(real)
            folders.sort()  # this is the order of the walk: the first way to a folder names it
            paths = (os.path.join(place, name) for name in folders)
            waiting += [path for path in paths if os.path.islink(path)]
            found += [
                os.path.relpath(os.path.join(place, name), folder)
                for name in files
                if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
            ]
    return sorted(found)


def named_images(paths: str | Sequence[str]) -> tuple[Path, list[str]]:
    """The images that files and folders name, folders with their subfolders.

    Args:
        paths: of them; one may be a string.

    Returns:
        A folder, that of one folder alone or else one in which all lie, and their paths below it,
        each once, in the order given.

    Raises:
        FileNotFoundError: a path that is not there, or a folder without an image.
        ValueError: a file with another ending than an image.
    """
    files: list[str] = []
    given = [paths] if isinstance(paths, str) else list(paths)
    if len(given) == 1 and os.path.isdir(given[0]):
        root = given[0]
    else:
        folders = [path if os.path.isdir(path) else os.path.dirname(path) for path in given]
        root = os.path.commonpath([os.path.abspath(folder) for folder in folders])
    for path in given:
        if os.path.isdir(path):
            found = [os.path.join(path, name) for name in sorted(find_images(path), key=Path)]
            if not found:
                raise FileNotFoundError(f'{path} holds no image ({", ".join(IMAGE_SUFFIXES)})')
            files += found
        elif not os.path.isfile(path):
            raise FileNotFoundError(f'{path} does not exist')
        elif os.path.splitext(path)[1].lower() not in IMAGE_SUFFIXES:
            raise ValueError(f'{path} is no image, which ends in {", ".join(IMAGE_SUFFIXES)}')
        else:
            files.append(path)
    return Path(root), list(dict.fromkeys(os.path.relpath(path, root) for path in files))


def local_name(folder: str | Path, name: str) -> str:
    """Turn Windows separators of a path below a folder if the file exists only that way."""
    if '\\' not in name or os.path.exists(os.path.join(folder, name)):
        return name
    turned = name.replace('\\', '/')
    return turned if os.path.exists(os.path.join(folder, turned)) else name


@contextlib.contextmanager
def decoding(path: str | Path, label: str = '') -> Iterator[None]:
    """Decode an image inside, and learn whether it is damaged.

    The decoders fill up what is missing in the middle of an image, and say so on the standard
    error of the process alone. So that is caught while they work, which takes some ten
    microseconds; what else is written there meanwhile comes out afterwards. A flipped bit may leave
    an image that is sound for every decoder.

    Args:
        path: of the image, for the message.
        label: says more about it in the message.

    Raises:
        UnreadableImageError: it cannot be decoded, or is damaged.
    """
    failure = None
    with _caught_stderr() as caught:
        try:
            yield
        except Exception as error:
            failure = error
    text = b''.join(caught).decode(errors='replace')
    lines = text.splitlines(keepends=True)
    damage = [line.strip() for line in lines if line.startswith(DAMAGE)]
    sys.stderr.write(''.join(line for line in lines if not line.startswith(DAMAGE)))
    if failure or damage:
        reason = damage[0] if damage else failure
        message = f'{path}{label} cannot be read: {reason}'
        raise UnreadableImageError(message, str(path)) from failure


@contextlib.contextmanager
def _caught_stderr() -> Iterator[list[bytes]]:
    """Catch what is written to file descriptor 2; the list holds it afterwards, if anything."""
    caught: list[bytes] = []
    sys.stderr.flush()
    own = os.dup(2)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, own)
        if hasattr(os, 'memfd_create'):
            memory = os.memfd_create('stderr')
            stack.callback(os.close, memory)
        else:
            memory = stack.enter_context(tempfile.TemporaryFile()).fileno()
        os.dup2(memory, 2)
        try:
            yield caught
        finally:
            os.dup2(own, 2)
        size = os.fstat(memory).st_size
        if size:
            os.lseek(memory, 0, os.SEEK_SET)
            caught.append(os.read(memory, size))


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as pipelines do: (H, W, 3), BGR, uint8, turned as EXIF says.

    Raises:
        UnreadableImageError: it cannot be read, or is damaged.
    """
    with decoding(path):
        pixels = mmcv.imread(str(path))
        if pixels is None:
            raise ValueError('no image of a known format')
    return pixels


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


def stored_size(path: str | Path) -> tuple[tuple[int, int], int]:
    """Read from its head the size in which an image is stored, and how it is turned when read.

    Returns:
        (width, height); and the EXIF orientation, 1 to 8, 1 if the file does not say one or OpenCV
        does not turn files of this format.

    Raises:
        UnreadableImageError: it has no such head.
    """
    try:
        with open_head(path) as image:
            return read_head(image)
    except Exception as error:  # Pillow's readers raise what they meet
        raise UnreadableImageError(f'{path} cannot be read: {error}', str(path)) from error


@contextmanager
def open_head(file: str | Path | IO[bytes], formats: tuple[str, ...] | None = None) -> Iterator:
    """Open an image by Pillow to read its head alone, however many pixels it has.

    Pillow refuses images of more than 179 megapixels, for decoding them takes memory.
    """
    with _LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


_LIMIT = threading.Lock()
"""Held while Pillow's limit, which is one for all threads, is not what it was."""


def read_head(image: Image.Image) -> tuple[tuple[int, int], int]:
    """What :func:`stored_size` returns, of an image that Pillow has opened."""
    if image.format == 'TIFF':  # of which Pillow tells the turned size
        tags = image.tag_v2  # type: ignore[attr-defined]
        size, orientation = (tags[IMAGE_WIDTH], tags[IMAGE_LENGTH]), tags.get(ORIENTATION, 1)
    else:
        # not getexif(), which looks into XMP data as well, by which OpenCV turns nothing
        exif = Image.Exif()
        exif.load(image.info.get('exif', b''))
        size, orientation = image.size, exif.get(ORIENTATION, 1)
    turns = orientation in range(2, 9) and turns_files(image.format or '')
    return size, orientation if turns else 1


@cache
def turns_files(format: str) -> bool:
    """Whether OpenCV turns images of a format as EXIF says, which depends on its version."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = 6
    kind = 'JPEG' if format == 'MPO' else format
    try:
        Image.new('RGB', (1, 2)).save(file, kind, exif=exif)
    except (KeyError, OSError, ValueError):  # Pillow cannot write it
        return False
    pixels = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    return pixels is not None and pixels.shape[:2] == (1, 2)


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The size of an image after it has been turned as EXIF says."""
    return size[::-1] if orientation >= 5 else size


def turn_boxes(boxes: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """Bring boxes from an image as it is stored to the image turned as EXIF says.

    Args:
        boxes: (N, 4), left, top, right and bottom in pixels of the stored image.
        size: of the stored image.
        orientation: 1 to 8; the cases are those of the EXIF standard, section 4.6.4.

    Returns:
        (N, 4) in pixels of the turned image.
    """
    x, y = boxes[:, 0::2], boxes[:, 1::2]
    width, height = size
    x_mirrored, y_mirrored = width - x[:, ::-1], height - y[:, ::-1]
    turned = {
        1: (x, y),
        2: (x_mirrored, y),
        3: (x_mirrored, y_mirrored),
        4: (x, y_mirrored),
        5: (y, x),
        6: (y_mirrored, x),
        7: (y_mirrored, x_mirrored),
        8: (y, x_mirrored),
    }[orientation]
    return np.stack(turned, axis=2).reshape(boxes.shape).astype(boxes.dtype)
