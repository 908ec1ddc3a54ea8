"""Where rendered people stand: their places in the image and what is behind them.

Image points are (x, y) in pixels; the center of the first pixel is (0, 0). Colors are BGR, 0..255.

Shape letters: H and W are the height and width of the image.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from hsjp_mm.datasets.toy.figures import Figure, random_color, sample_figure
from hsjp_mm.datasets.toy.pose import Range


class Placed(NamedTuple):
    """A figure in the image: an image point is scale * figure point + offset."""

    figure: Figure
    scale: float
    offset: np.ndarray
    box: np.ndarray  # x1, y1, x2, y2 in pixels, not clipped

    def window(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The whole pixels (x1, y1, x2, y2), ends excluded, that it may touch with its contours."""
        x1, y1 = np.maximum(np.floor(self.box[:2]).astype(int) - 2, 0)
        x2, y2 = np.minimum(np.ceil(self.box[2:]).astype(int) + 3, (width, height))
        return int(x1), int(y1), int(x2), int(y2)


def _place(
    rng: np.random.Generator, figure: Figure, heights: Range, width: int, height: int
) -> Placed:
    """Scale and shift a figure; one in five may leave the image by up to a fifth of its size."""
    low, high = figure.bounds()
    extent = high - low
    scale = min(rng.uniform(*heights) * height / extent[1], 0.95 * width / extent[0])
    room = np.array([width - 1, height - 1]) - scale * extent
    overhang = 0.2 * scale * extent if rng.random() < 0.2 else np.zeros(2)
    corner = rng.uniform(-overhang, room + overhang)
    box = np.concatenate([corner, corner + scale * extent])
    return Placed(figure, scale, corner - scale * low, box)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Shared area of two boxes (x1, y1, x2, y2) as a part of the smaller one."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(
        np.prod(np.clip(sides, 0, None)) / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    )


def sample_people(
    rng: np.random.Generator, backdrop: np.ndarray, width: int, height: int, max_persons: int
) -> list[Placed]:
    """One to ``max_persons`` people, from far to near, that hide little of one another."""
    count = int(rng.integers(1, max_persons + 1))
    heights = (0.35, 0.95) if count == 1 else (0.35, 0.8)
    people: list[Placed] = []
    for _ in range(count):
        figure = sample_figure(rng, backdrop)
        for _ in range(20):
            placed = _place(rng, figure, heights, width, height)
            if all(_overlap(placed.box, other.box) < 0.3 for other in people):
                people.append(placed)
                break
    return sorted(people, key=lambda placed: placed.scale)


def _noise(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Value noise (H, W, 3) between two random colors, over one to three octaves."""
    field = np.zeros((height, width), np.float32)
    cells = int(rng.integers(2, 7))
    for octave in range(int(rng.integers(1, 4))):
        grid = rng.random((cells * 4**octave, cells * 4**octave), np.float32)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR) * 0.6**octave
    cv2.normalize(field, field, 0, 1, cv2.NORM_MINMAX)
    first, second = (random_color(rng).astype(np.float32) for _ in range(2))
    return first + field[..., None] * (second - first) * np.float32(rng.uniform(0.3, 1))


def draw_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A textured wall, often with a floor, and clutter, shape (H, W, 3), uint8."""
    image = _noise(rng, width, height)
    if rng.random() < 0.6:
        horizon = int(height * rng.uniform(0.45, 0.85))
        image[horizon:] = _noise(rng, width, height - horizon)
    image = np.clip(image, 0, 255).astype(np.uint8)
    size = np.array([width, height])
    for _ in range(int(rng.integers(2, 12))):
        color = tuple(random_color(rng))
        center = rng.uniform(0, 1, 2) * size
        sides = rng.uniform(0.02, 0.3, 2) * height
        box = (center.tolist(), sides.tolist(), rng.uniform(0, 180))
        kind = rng.integers(3)
        if kind == 0:
            cv2.fillConvexPoly(image, np.rint(cv2.boxPoints(box)).astype(int), color, cv2.LINE_AA)
        elif kind == 1:
            cv2.ellipse(image, box, color, -1, cv2.LINE_AA)
        else:
            end = rng.uniform(0, 1, 2) * size
            thickness = int(rng.integers(1, max(3, height // 20)))
            cv2.line(image, center.astype(int), end.astype(int), color, thickness, cv2.LINE_AA)
    blur = int(rng.integers(0, 3))
    return cv2.blur(image, (2 * blur + 1, 2 * blur + 1)) if blur else image
