"""Pixels of rendered people: each figure is drawn over what is farther away.

Image points are (x, y) in pixels; the center of the first pixel is (0, 0). Colors are BGR, 0..255.

Shape letters: H and W are the height and width of the image, H' and W' those of a figure's window
in it, s = `SUPERSAMPLING`.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from hsjp_mm.datasets.toy.figures import PARTS
from hsjp_mm.datasets.toy.scene import Placed, draw_background, sample_people

SUPERSAMPLING = 2


def draw_figure(
    placed: Placed, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a figure.

    Returns:
        The supersampled part map (s*H', s*W'), 0 outside of the figure; the coverage (H', W') in
        0..1; the colors times the coverage (H', W', 3). All are cut to the figure's box within the
        image, whose corner `Placed.window` gives.
    """
    x1, y1, x2, y2 = placed.window(width, height)
    s = SUPERSAMPLING
    layer = np.zeros((s * (y2 - y1), s * (x2 - x1), 4), np.uint8)
    # (x + 0.5) * s - 0.5 is the supersampled place of x; 16 steps a pixel for cv2's `shift`.
    scale = 16 * s * placed.scale
    offset = 16 * (s * (placed.offset - (x1, y1)) + (s - 1) / 2)
    for part in placed.figure.parts:
        value = PARTS.index(part.name) + 1
        polygons = [np.rint(s.polygon * scale + offset).astype(np.int32) for s in part.shapes]
        for shape, polygon in zip(part.shapes, polygons, strict=True):
            if shape.contour:
                color = (*np.clip(shape.color * 0.5, 0, 255), value)
                cv2.polylines(layer, [polygon], True, color, 2, cv2.LINE_8, shift=4)
        for shape, polygon in zip(part.shapes, polygons, strict=True):
            color = (*np.clip(shape.color, 0, 255), value)
            cv2.fillConvexPoly(layer, polygon, color, cv2.LINE_8, shift=4)
    size = (x2 - x1, y2 - y1)
    part_map = np.ascontiguousarray(layer[..., 3])
    figure = (part_map > 0).astype(np.float32)
    coverage = cv2.resize(figure, size, interpolation=cv2.INTER_AREA)
    colors = cv2.resize(layer[..., :3].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return part_map, coverage, colors * _light(placed.box, x1, y1, size)[..., None]


def _light(box: np.ndarray, x1: int, y1: int, size: tuple[int, int]) -> np.ndarray:
    """Brightness (H', W') that falls from the figure's upper left to its lower right."""
    u = (np.arange(size[0]) + x1 - box[0]) / (box[2] - box[0])
    v = (np.arange(size[1]) + y1 - box[1]) / (box[3] - box[1])
    return (1.28 - 0.26 * u[None, :] - 0.3 * v[:, None]).astype(np.float32)


class Rendered(NamedTuple):
    """An image and what shows where in it.

    Attributes:
        image: Shape (H, W, 3), uint8.
        people: Who is in it, from far to near.
        part_maps: For each of them what `draw_figure` returns as part map.
        owner: Shape (H, W), uint8: the number of the person, counted from 1, whom a pixel shows; 0
            is the background.
    """

    image: np.ndarray
    people: list[Placed]
    part_maps: list[np.ndarray]
    owner: np.ndarray


def render_image(rng: np.random.Generator, width: int, height: int, max_persons: int) -> Rendered:
    """Draw one to `max_persons` people before a background."""
    image = draw_background(rng, width, height).astype(np.float32)
    people = sample_people(rng, image.mean(axis=(0, 1)), width, height, max_persons)
    owner = np.zeros((height, width), np.uint8)
    part_maps = []
    for number, placed in enumerate(people, start=1):
        part_map, coverage, colors = draw_figure(placed, width, height)
        part_maps.append(part_map)
        x1, y1, x2, y2 = placed.window(width, height)
        image[y1:y2, x1:x2] = image[y1:y2, x1:x2] * (1 - coverage[..., None]) + colors
        # A pixel goes to a figure that covers any of it, unless another has more than half of it.
        taken = owner[y1:y2, x1:x2]
        taken[(coverage > 0.5) | ((coverage > 0) & (taken == 0))] = number
    noise = rng.integers(-5, 6, image.shape, np.int8)
    image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return Rendered(image, people, part_maps, owner)
