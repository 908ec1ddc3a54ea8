"""What the pictures of all pretext models have in common."""

import cv2
import numpy as np
from torch import Tensor

from hsjp_mm.models.pretext.base import PretextModel

TILE = 224
"""Height of an image on a board in pixels; captions and gaps come on top."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
DARK = (40, 40, 40)
BAR = 80
"""Width of a legend's bar in pixels."""


def to_rgb(model: PretextModel, image: Tensor) -> np.ndarray:
    """Undo the data preprocessor's normalisation of an image (3, H, W); RGB, uint8."""
    preprocessor = model.data_preprocessor
    if getattr(preprocessor, '_enable_normalize', False):
        image = image * preprocessor.std + preprocessor.mean
        rgb = preprocessor._channel_conversion
    else:
        rgb = False
    pixels = image.clamp(0, 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(pixels if rgb else pixels[..., ::-1])


def write(
    board: np.ndarray,
    text: str,
    left: int,
    bottom: int,
    color: tuple[int, int, int] = DARK,
    scale: float = 0.5,
) -> None:
    """Write a line on a picture, in place; OpenCV's fonts have ASCII only."""
    cv2.putText(board, text, (left, bottom), FONT, scale, color, 1, cv2.LINE_AA)


def write_legend(
    board: np.ndarray, colors: np.ndarray, ends: tuple[str, str], right: int, bottom: int
) -> None:
    """Draw a bar of colors on a picture, in place, between the values that its ends have.

    Args:
        board: (height, width, 3), uint8.
        colors: (BAR, 3), from the lowest value to the highest.
        ends: their texts.
        right: where the legend ends.
        bottom: of the texts.
    """
    scale, gap = 0.45, 6
    low, high = (cv2.getTextSize(text, FONT, scale, 1)[0][0] for text in ends)
    left = right - high - gap - BAR
    board[bottom - 10 : bottom + 2, left : left + BAR] = colors
    write(board, ends[0], left - gap - low, bottom, scale=scale)
    write(board, ends[1], right - high, bottom, scale=scale)
