"""One person beside what several models make of it: bodies, and where their parts look.

Letters: V vertices, F triangles, P parts, H and W height and width of an image, h and w of a map.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hsjp_mm.visualization.meshes import (
    COLORS,
    SIDE,
    TRUTH,
    draw_meshes,
    draw_turned,
    zoomed,
)
from hsjp_mm.visualization.pictures import FONT, write

BODY_TILE, PART_TILE = 160, 112
"""Sides of the tiles in pixels."""
GAP, LINE, SCALE = 6, 18, 0.42
"""Pixels between tiles, pixels of a line of text, and the size of its letters."""


@dataclass(frozen=True)
class SeenPerson:
    """A person in its picture.

    Attributes:
        image: (H, W, 3), RGB, uint8.
        camera: (4,), fx, fy, cx, cy in pixels of the image.
        box: (4,), left, top, right and bottom of what the networks see, in pixels of the image.
        truth: (V, 3), the labelled body; None where it is not known.
        placed: Whether the labelled body stands where it is before the camera.
    """

    image: np.ndarray
    camera: np.ndarray
    box: np.ndarray
    truth: np.ndarray | None = None
    placed: bool = False


def bodies_board(
    person: SeenPerson, bodies: Mapping[str, tuple[np.ndarray, Sequence[str]]], faces: np.ndarray
) -> np.ndarray:
    """Show what several models make of a person, a column each.

    Each column has the body over the picture, below it the body seen from the right with the
    labelled one in gray, moved to where the body is, and lines of text. The first columns are the
    picture alone and, where its place is known, the labelled body.

    Args:
        person: That all of them saw.
        bodies: By name of the model, the vertices (V, 3) before the camera, and the lines.
        faces: (F, 3).

    Returns:
        RGB, uint8.
    """
    square, camera, _ = zoomed(person.image, person.camera, person.box, BODY_TILE)
    beside = _beside(person.truth is not None)
    columns: list[tuple[str, np.ndarray, np.ndarray, Sequence[str]]]
    columns = [('image', square, beside, ())]
    if person.truth is not None and person.placed:
        over = draw_meshes(square, [person.truth], faces, camera, [TRUTH])
        turned = draw_turned([person.truth], faces, SIDE, BODY_TILE, [TRUTH])
        columns.append(('labelled', over, turned, ()))
    for name, (body, texts) in bodies.items():
        over = draw_meshes(square, [body], faces, camera)
        columns.append((name, over, _from_the_right(body, person.truth, faces), texts))
    lines = max(len(texts) for _, _, _, texts in columns)
    below = LINE + 2 * BODY_TILE + GAP
    board = _blank(below + lines * LINE + GAP, len(columns) * (BODY_TILE + GAP) + GAP)
    for i, (name, over, turned, texts) in enumerate(columns):
        left = GAP + i * (BODY_TILE + GAP)
        write(board, fitting(name, BODY_TILE), left, LINE - 5, scale=SCALE)
        _put(board, over, LINE, left)
        _put(board, turned, LINE + BODY_TILE + GAP, left)
        for number, text in enumerate(texts, 1):
            bottom = below + number * LINE - 3
            write(board, fitting(text, BODY_TILE), left, bottom, scale=SCALE)
    return board


def _from_the_right(body: np.ndarray, truth: np.ndarray | None, faces: np.ndarray) -> np.ndarray:
    """A body and the labelled one, which comes first: all columns are framed by it."""
    if truth is None:
        return draw_turned([body], faces, SIDE, BODY_TILE)
    moved = truth + (body.mean(axis=0) - truth.mean(axis=0))
    return draw_turned([moved, body], faces, SIDE, BODY_TILE, (TRUTH, COLORS[0]))


def parts_board(
    crops: Mapping[str, np.ndarray],
    attention: Mapping[str, np.ndarray],
    parts: Sequence[str],
) -> np.ndarray:
    """Show where the parts of several models look on a person, a row for each model.

    Args:
        crops: By name of the model, what its network sees, (H, W, 3).
        attention: By name of the model, its maps (P, h, w), at least 0. Each is drawn relative to
            its own highest value.
        parts: P names.

    Returns:
        RGB, uint8.
    """
    rows = [
        [crops[name], *(heat_over(crops[name], one) for one in maps)]
        for name, maps in attention.items()
    ]
    height, width = rows[0][0].shape[:2]
    width = round(PART_TILE * width / height)
    first = GAP + max(_length(name) for name in attention) + GAP
    board = _blank(LINE + len(rows) * (PART_TILE + GAP), first + (1 + len(parts)) * (width + GAP))
    for column, part in enumerate(['input', *parts]):
        left = first + column * (width + GAP)
        write(board, fitting(part.replace('_', ' '), width), left, LINE - 5, scale=SCALE)
    for row, (name, tiles) in enumerate(zip(attention, rows, strict=True)):
        top = LINE + row * (PART_TILE + GAP)
        write(board, name, GAP, top + PART_TILE // 2, scale=SCALE)
        for column, tile in enumerate(tiles):
            small = cv2.resize(tile, (width, PART_TILE), interpolation=cv2.INTER_AREA)
            _put(board, small, top, first + column * (width + GAP))
    return board


def heat_over(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Lay a map over an image, from dark blue for 0 to yellow for its highest value.

    Args:
        image: (H, W, 3), RGB, uint8.
        values: (h, w), at least 0.

    Returns:
        (H, W, 3).
    """
    shares = (values / max(float(values.max()), 1e-12)).astype(np.float32)
    size = image.shape[1], image.shape[0]
    large = (255 * cv2.resize(shares, size)).round().astype(np.uint8)
    heat = cv2.applyColorMap(large, cv2.COLORMAP_PLASMA)[..., ::-1]
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return (0.45 * gray + 0.55 * heat).round().astype(np.uint8)


def fitting(text: str, width: int) -> str:
    """Cut a text so that it is no wider than so many pixels, with two points where it was cut."""
    if _length(text) <= width:
        return text
    while text and _length(text + '..') > width:
        text = text[:-1]
    return text + '..'


def _beside(truth: bool) -> np.ndarray:
    """A tile that says what is beside it."""
    tile = _blank(BODY_TILE, BODY_TILE)
    for i, text in enumerate(['from the right', 'gray: labelled'][: 1 + truth]):
        write(tile, text, BODY_TILE - GAP - _length(text), BODY_TILE // 2 + i * LINE, scale=SCALE)
    return tile


def _length(text: str) -> int:
    return cv2.getTextSize(text, FONT, SCALE, 1)[0][0]


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def _put(board: np.ndarray, tile: np.ndarray, top: int, left: int) -> None:
    board[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
