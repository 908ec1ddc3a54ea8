"""What the pictures of all pretext models have in common."""

import cv2
import numpy as np
from torch import Tensor

from hsjp_mm.models.pretext.base import PretextModel

TILE = 224
"""Height of an image on a board in pixels; captions and gaps come on top."""
DARK = (40, 40, 40)


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
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(board, text, (left, bottom), font, scale, color, 1, cv2.LINE_AA)
