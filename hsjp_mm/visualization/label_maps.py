"""Pictures of labels: each label its color, laid over the image."""

from collections.abc import Sequence

import cv2
import numpy as np

from hsjp_mm.ops.part_labels import IGNORED
from hsjp_mm.visualization.pictures import TILE, write

GAP, CAPTION = 6, 22
STEP = 0.618
"""Of the color circle between neighboring labels, the golden ratio: none are alike."""


def label_colors(number: int) -> np.ndarray:
    """Give each label from 1 to ``number`` a color; (number + 1, 3) RGB uint8, 0 is black."""
    hue = np.arange(number) * STEP % 1 * 180
    hsv = np.stack([hue, np.full(number, 200), np.full(number, 255)], axis=1).astype(np.uint8)
    colors = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    return np.vstack([np.zeros((1, 3), np.uint8), colors])


def overlay(image: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Lay labels over an image: the background darkened, what is not labelled gray.

    Args:
        image: (H, W, 3), RGB, uint8.
        labels: (h, w), H/h = W/w: cell (i, j) looks at a pixel, (4i, 4j) at a stride of 4, and is
            drawn around it.
        colors: of :func:`label_colors`.

    Returns:
        (H, W, 3), RGB, uint8.
    """
    labels = labels[np.ix_(*map(_nearest_cells, image.shape, labels.shape))]
    painted = colors[np.where(labels == IGNORED, 0, labels)].astype(float)
    painted[labels == IGNORED] = 128
    return (0.4 * image + 0.6 * painted).round().astype(np.uint8)


def _nearest_cells(pixels: int, cells: int) -> np.ndarray:
    """The cell of each pixel along a side: that which looks at the nearest pixel."""
    nearest = np.floor(np.arange(pixels) * cells / pixels + 0.5).astype(int)
    return np.minimum(nearest, cells - 1)


def side_by_side(tiles: Sequence[np.ndarray], captions: Sequence[str]) -> np.ndarray:
    """Put images of one size side by side under their captions, all as high as a tile."""
    height, width = tiles[0].shape[:2]
    width = max(1, round(width * TILE / height))
    board = np.full((CAPTION + TILE + GAP, (width + GAP) * len(tiles) + GAP, 3), 255, np.uint8)
    for i, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left = GAP + i * (width + GAP)
        board[CAPTION : CAPTION + TILE, left : left + width] = cv2.resize(
            tile, (width, TILE), interpolation=cv2.INTER_LINEAR
        )
        write(board, caption, left, CAPTION - 7, scale=0.45)
    return board
