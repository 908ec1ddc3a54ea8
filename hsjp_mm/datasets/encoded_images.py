"""Image files that are decoded when a crop is cut out of them, and only as large as it needs.

Pixel i of an image reduced by r stands for the pixels r·i to r·i + r − 1 of the whole one; centers
of pixels are whole numbers.
"""

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from hsjp_mm.datasets.image_files import (
    UnreadableImageError,
    decoding,
    open_head,
    read_head,
    turned_size,
)

REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}
"""OpenCV has libjpeg reduce while it decodes: each block of 8×8 becomes one of 4×4, 2×2 or 1."""
MIRRORED = {1: 0b00, 2: 0b01, 3: 0b11, 4: 0b10, 5: 0b00, 6: 0b01, 7: 0b11, 8: 0b10}
"""Whether x (1) and y (2) of the turned image run against the stored one, by EXIF orientation."""


@dataclass(frozen=True)
class Region:
    """The part of an image that a file shows, as it is or smaller.

    Attributes:
        left, top, width, height: of the part, in whole pixels of the image.
        picture: (width, height) in which the file has it.
    """

    left: int
    top: int
    width: int
    height: int
    picture: tuple[int, int]


class EncodedImage:
    """An image (H, W, 3), BGR and turned as EXIF says, that is not yet decoded.

    It stands in ``results['img']`` for the array. It tells its shape, NumPy can flip it, as the
    stock RandomFlip does, and :func:`warp_image` cuts a crop out of it; everything else that is
    done to an array fails. The file may hold a part of the image alone: shape and coordinates
    are those of the whole image all the same.

    Args:
        content: of the file.
        path: of it, for messages.
        size: (width, height) of the turned image.
        mirrored: whether its x and its y run against those in which the file has it.
        label: says more about it in messages.
        region: what of the image the file holds; None for all of it.
        reducible: whether the file may be decoded smaller than it is, as libjpeg can.
    """

    def __init__(
        self,
        content: bytes,
        path: str,
        size: tuple[int, int],
        mirrored: tuple[bool, bool],
        label: str = '',
        region: Region | None = None,
        reducible: bool = True,
    ):
        self.content = content
        self.path = path
        self.size = size
        self.mirrored = mirrored
        self.label = label
        self.region = region
        self.reducible = reducible
        self.flips: tuple[int, ...] = ()
        self.reduction: int | None = None
        self.arrays: dict[int, np.ndarray] = {}

    @property
    def shape(self) -> tuple[int, int, int]:
        """As of an array."""
        return (self.size[1], self.size[0], 3)

    def __array_function__(self, function: Callable, types: Any, args: Any, kwargs: Any) -> Any:
        """Let NumPy flip it, and refuse the rest; see NumPy's NEP 18."""
        return self._flip(*args[1:], **kwargs) if function is np.flip else NotImplemented

    def _flip(self, axis: int | tuple[int, ...]) -> 'EncodedImage':
        axes = axis if isinstance(axis, tuple) else (axis,)
        x, y = self.mirrored
        flipped = self.for_sample(self.label)
        flipped.mirrored = (x ^ (1 in axes), y ^ (0 in axes))
        flipped.flips = tuple(set(self.flips) ^ set(axes))
        return flipped

    def for_sample(self, label: str) -> 'EncodedImage':
        """The same image for another sample, which shares what has been decoded of it.

        What the other one's crops are cut out of does not depend on that.
        """
        image = copy.copy(self)
        image.label, image.reduction = label, None
        return image

    def for_crop(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decode it as far reduced as leaves the crop its resolution.

        It is decoded once for several crops, as long as that is large enough for the next one.

        Args:
            matrix: (2, 3), from this image to the crop.

        Returns:
            The array, reduced by 1, 2, 4 or 8, and the matrix from it to the crop.

        Raises:
            UnreadableImageError: it cannot be decoded, is damaged, or has not the size that its
                head says.
        """
        if self.region is not None:
            matrix = matrix @ self._from_picture(self.region)
        reduction = largest_reduction(matrix) if self.reducible else 1
        if self.reduction is None or self.reduction > reduction:
            self.reduction, self.pixels = reduction, self._decoded(reduction)
        if self.reduction == 1:
            return self.pixels, matrix
        return self.pixels, matrix @ self._from_reduced(self.reduction)

    def _decoded(self, reduction: int) -> np.ndarray:
        if reduction not in self.arrays:
            self.arrays[reduction] = self._decode(reduction)
        pixels = self.arrays[reduction]
        return np.ascontiguousarray(np.flip(pixels, self.flips)) if self.flips else pixels

    def _decode(self, reduction: int) -> np.ndarray:
        with decoding(self.path, self.label):
            buffer = np.frombuffer(self.content, np.uint8)
            pixels = cv2.imdecode(buffer, REDUCED[reduction])
            if pixels is None:
                raise ValueError('no image of a known format')
        height, width = pixels.shape[:2]
        picture = self._picture()
        if (width, height) != tuple(-(-side // reduction) for side in picture):
            # Pillow and OpenCV read the EXIF data of a broken file differently
            raise UnreadableImageError(
                f'{self.path}{self.label} cannot be read: its head says {picture[0]}×'
                f'{picture[1]} pixels, but reduced by {reduction} it is {width}×{height}',
                self.path,
            )
        return pixels

    def require(self, matrix: np.ndarray, size: tuple[int, int]) -> None:
        """Expect that the file holds all that a crop shows of the image.

        Args:
            matrix: (2, 3), from this image to the crop.
            size: (width, height) of the crop.

        Raises:
            ValueError: the crop shows some of the image that is not in the file.
        """
        if self.region is None:
            return
        right, bottom = size[0] - 1, size[1] - 1
        corners = np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], float)
        shown = cv2.transform(corners[None], cv2.invertAffineTransform(matrix))[0]
        last = np.array(self.size) - 1
        first = np.array(self._corner(self.region))
        low, high = shown.min(axis=0).clip(0, last), shown.max(axis=0).clip(0, last)
        beyond = first + np.array([self.region.width, self.region.height]) - 1
        if (low < first - 1e-3).any() or (high > beyond + 1e-3).any():
            raise ValueError(
                f'{self.path}{self.label}: the crop shows x {low[0]:.0f} to {high[0]:.0f} and y '
                f'{low[1]:.0f} to {high[1]:.0f}, but of the image only x {first[0]} to {beyond[0]} '
                f'and y {first[1]} to {beyond[1]} are stored'
            )

    def _picture(self) -> tuple[int, int]:
        return self.size if self.region is None else self.region.picture

    def _corner(self, region: Region) -> tuple[int, int]:
        """The first pixel of the region in this image, which may be flipped."""
        width, height = self.size
        return (
            width - region.left - region.width if 1 in self.flips else region.left,
            height - region.top - region.height if 0 in self.flips else region.top,
        )

    def _from_picture(self, region: Region) -> np.ndarray:
        """The matrix (3, 3) from what the file has to the image, both flipped if it is."""
        left, top = self._corner(region)
        x, y = region.width / region.picture[0], region.height / region.picture[1]
        return np.array([[x, 0, left + (x - 1) / 2], [0, y, top + (y - 1) / 2], [0, 0, 1]], float)

    def _from_reduced(self, reduction: int) -> np.ndarray:
        """The matrix (3, 3) from the reduced picture to the whole one."""
        # the last pixel in the file, the first if mirrored, may stand for some beyond the edge
        x, y = (
            (reduction - 1) / 2 - mirrored * (-side % reduction)
            for mirrored, side in zip(self.mirrored, self._picture(), strict=True)
        )
        return np.array([[reduction, 0, x], [0, reduction, y], [0, 0, 1]], float)


def read_encoded(content: bytes, path: str, label: str = '') -> EncodedImage | None:
    """Read the head of a JPEG file; None for a file of another format or without such a head."""
    try:
        with open_head(io.BytesIO(content), ('JPEG', 'MPO')) as image:
            size, orientation = read_head(image)
    except Exception:  # Pillow's readers raise what they meet; the decoder has the last word
        return None
    flags = MIRRORED[orientation]
    mirrored = (bool(flags & 1), bool(flags & 2))
    return EncodedImage(content, path, turned_size(size, orientation), mirrored, label)


def largest_reduction(matrix: np.ndarray) -> int:
    """The largest reduction at which no pixel of a crop is smaller than one of the image.

    Args:
        matrix: (2, 3), from the image to the crop.
    """
    magnification = np.linalg.norm(matrix[:, :2], 2)  # along the axis in which it is largest
    return next(r for r in REDUCED if r * magnification <= 1 + 1e-6 or r == 1)


def warp_image(
    image: np.ndarray | EncodedImage, matrix: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Cut a crop out of an image, as ``cv2.warpAffine`` does, with linear interpolation.

    Args:
        image: (H, W, 3), or one that is not decoded yet.
        matrix: (2, 3), from the image to the crop.
        size: (width, height) of the crop.

    Raises:
        UnreadableImageError: see :meth:`EncodedImage.for_crop`.
        ValueError: see :meth:`EncodedImage.require`.
    """
    if isinstance(image, EncodedImage):
        image.require(matrix, size)
        image, matrix = image.for_crop(matrix)
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
