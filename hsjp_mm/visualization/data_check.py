"""A contact sheet of a data set: its images with the boxes and keypoints that the file gives."""

import math

import cv2
import numpy as np

from hsjp_mm.analysis.data_check import DataCheck
from hsjp_mm.datasets.image_files import read_image
from hsjp_mm.visualization.pictures import write

SIDE = 240
"""Of a thumbnail in pixels, the longer one."""
FAR = 10_000
"""Pixels from a thumbnail's corner; OpenCV draws within 16 bits."""
COLUMNS, LINE, GAP = 6, 20, 8
YELLOW = (255, 220, 0)
LEGEND = {
    'pose': ((0, 190, 60), 'green: pose estimation and pretraining take it'),
    'crops': ((60, 120, 255), 'blue: pretraining alone'),
    'nothing': ((230, 40, 40), 'red: nothing takes it'),
    'mesh': ((0, 190, 60), 'green: with a pose'),
    'points': ((60, 120, 255), 'blue: with points or joints alone'),
}
"""Color of a box and its text, by what takes it, or what labels of meshes know of it."""


def contact_sheet(found: DataCheck, number: int = 24) -> np.ndarray:
    """Draw images spread evenly over the file, those with annotations before the others.

    What takes a box its color says, see the legend; keypoints are yellow dots. The image is as it
    is read, upright: boxes that lie beside their persons are those of the image as it is stored.

    Args:
        found: what :func:`~hsjp_mm.analysis.data_check.check_data` found.
        number: of images at most.

    Returns:
        (height, width, 3), RGB, uint8.

    Raises:
        ValueError: there is no image to draw.
    """
    keys = sorted(found.paths, key=lambda key: not found.boxes.get(key))
    full = sum(bool(found.boxes.get(key)) for key in keys)
    if not keys:
        raise ValueError('no image can be read, so there is nothing to draw')
    keys = keys[: max(full, 1)]
    chosen = [keys[i] for i in np.linspace(0, len(keys) - 1, min(number, len(keys))).astype(int)]
    rows = math.ceil(len(chosen) / COLUMNS)
    columns = min(COLUMNS, len(chosen))
    cell = SIDE + GAP
    legend = [LEGEND[use] for use in found.uses]
    head = LINE * len(legend)
    width = max(columns * cell + GAP, 400)
    sheet = np.full((head + rows * (cell + LINE) + GAP, width, 3), 255, np.uint8)
    for line, (color, text) in enumerate(legend, 1):
        write(sheet, text, GAP, line * LINE - 4, color, 0.45)
    for place, key in enumerate(chosen):
        row, column = divmod(place, COLUMNS)
        top, left = head + GAP + row * (cell + LINE), GAP + column * cell
        picture = _thumbnail(found, key)
        write(sheet, _shortened(found.paths[key].name), left, top + LINE - 6, scale=0.4)
        top += LINE
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def _thumbnail(found: DataCheck, key) -> np.ndarray:
    pixels = read_image(found.paths[key])[..., ::-1]
    zoom = SIDE / max(pixels.shape[:2])
    size = (max(round(pixels.shape[1] * zoom), 1), max(round(pixels.shape[0] * zoom), 1))
    picture = np.ascontiguousarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    for box, points, use in found.boxes.get(key, ()):
        left, top, width, height = (round(np.clip(value * zoom, -FAR, FAR)) for value in box)
        cv2.rectangle(picture, (left, top), (left + width, top + height), LEGEND[use][0], 1)
        for x, y, visible in points.tolist():
            if visible and abs(x) * zoom < FAR and abs(y) * zoom < FAR:
                cv2.circle(picture, (round(x * zoom), round(y * zoom)), 2, YELLOW, -1, cv2.LINE_AA)
    return picture


def _shortened(name: str, longest: int = 30) -> str:
    text = name.encode('ascii', 'replace').decode()  # OpenCV's fonts have no more
    return text if len(text) <= longest else f'...{text[3 - longest :]}'
