"""Boards of several models on one person, on a box whose pixels are known."""

import cv2
import numpy as np
import pytest

from hsjp_mm.visualization import mesh_comparison
from hsjp_mm.visualization.mesh_comparison import (
    BODY_TILE,
    GAP,
    LINE,
    PART_TILE,
    SeenPerson,
    bodies_board,
    fitting,
    heat_over,
    parts_board,
)
from hsjp_mm.visualization.meshes import COLORS, TRUTH
from tests.visualization.test_meshes import CAMERA, FACES, box

IMAGE = np.full((30, 41, 3), 10, np.uint8)
BOX = np.array([5.0, 0, 35, 30])  # 30 pixels, drawn with 192
BODY = box((1, 0.5, 0.2), (0.1, 0, 4.1))  # 16 to 26 and 13 to 17 in pixels of the image


def tile(board, column, row=0):
    top = LINE + row * (BODY_TILE + GAP)
    left = GAP + column * (BODY_TILE + GAP)
    return board[top : top + BODY_TILE, left : left + BODY_TILE]


def test_each_model_has_its_body_over_the_person():
    person = SeenPerson(IMAGE, CAMERA, BOX)
    other = BODY + np.array([0.5, 0, 0])  # 5 pixels to the right
    board = bodies_board(person, {'a': (BODY, ['1 mm', '2']), 'b': (other, ['3 mm'])}, FACES)
    assert board.shape[:2] == (3 * LINE + 2 * (BODY_TILE + GAP), GAP + 3 * (BODY_TILE + GAP))
    alone = tile(board, 0)
    assert (alone[7:-7] == 10).all()  # between the centers of the outermost pixels
    columns = [np.nonzero((tile(board, i) != alone).any(axis=(0, 2)))[0] for i in (1, 2)]
    scale = BODY_TILE / 30
    for column, left in zip(columns, (16, 21), strict=True):
        assert column[0] == pytest.approx((left - 5) * scale, abs=scale)
        assert column[-1] == pytest.approx((left + 11 - 5) * scale, abs=scale)
    np.testing.assert_array_equal(tile(board, 1, 1), tile(board, 2, 1))  # the same from the right


def test_the_labelled_body_is_gray_where_it_is_known(monkeypatch):
    turned = []
    monkeypatch.setattr(
        mesh_comparison,
        'draw_turned',
        lambda bodies, faces, turn, side, colors: (
            turned.append((bodies, colors)) or np.zeros((side, side, 3), np.uint8)
        ),
    )
    far = BODY + np.array([0, 0, 2])
    bodies = {'a': (BODY, [])}
    board = bodies_board(SeenPerson(IMAGE, CAMERA, BOX, far, placed=True), bodies, FACES)
    assert board.shape[1] == GAP + 3 * (BODY_TILE + GAP)
    row, column = BODY_TILE // 2, int((20 - 5 + 0.5) * BODY_TILE / 30)
    assert np.ptp(tile(board, 1)[row, column].astype(int)) == np.ptp(TRUTH) == 0
    assert tile(board, 2)[row, column].argmax() == np.argmax(COLORS[0])
    (alone, _), (shown, colors) = turned
    np.testing.assert_array_equal(alone[0], far)
    np.testing.assert_allclose(shown[0], BODY)  # the labelled one, moved to the body
    assert colors == (TRUTH, COLORS[0])
    unplaced = bodies_board(SeenPerson(IMAGE, CAMERA, BOX, far), bodies, FACES)
    assert unplaced.shape[1] == GAP + 2 * (BODY_TILE + GAP)
    assert len(turned[-1][0]) == 2


def test_a_map_is_bright_where_it_is_highest():
    image = np.full((40, 20, 3), 100, np.uint8)
    values = np.zeros((8, 4))
    values[6, 1] = 0.003
    heat = heat_over(image, values).astype(int)
    assert heat.shape == image.shape
    blue, yellow = (
        cv2.applyColorMap(np.full((1, 1), v, np.uint8), cv2.COLORMAP_PLASMA)[0, 0, ::-1]
        for v in (0, 255)
    )
    np.testing.assert_allclose(heat[2, 2], 0.45 * 100 + 0.55 * blue, atol=1)
    np.testing.assert_allclose(heat[32, 7], 0.45 * 100 + 0.55 * yellow, atol=12)
    flat = heat_over(image, np.full((8, 4), 1 / 32))
    assert np.ptp(flat.reshape(-1, 3), axis=0).max() == 0  # a map without a peak has none drawn


def test_parts_have_a_row_for_each_model_and_a_column_for_each_part():
    crops = {name: np.full((64, 48, 3), 90, np.uint8) for name in ('a', 'much longer')}
    maps = np.zeros((2, 16, 12))
    maps[0, 2, 2] = maps[1, 12, 9] = 1
    board = parts_board(crops, {name: maps for name in crops}, ['head', 'left_knee'])
    width = round(PART_TILE * 48 / 64)
    assert board.shape[0] == LINE + 2 * (PART_TILE + GAP)
    right = board.shape[1]
    first, second = (
        board[
            LINE : LINE + PART_TILE, right - k * (width + GAP) : right - k * (width + GAP) + width
        ]
        for k in (2, 1)
    )
    bright = [
        np.unravel_index(one.astype(int)[..., 0].argmax(), one.shape[:2]) for one in (first, second)
    ]
    np.testing.assert_allclose(bright[0], (2.5 / 16 * PART_TILE, 2.5 / 12 * width), atol=6)
    np.testing.assert_allclose(bright[1], (12.5 / 16 * PART_TILE, 9.5 / 12 * width), atol=6)


def test_long_names_are_cut_where_they_end():
    assert fitting('short', 100) == 'short'
    cut = fitting('a-name-that-is-much-too-long', 100)
    assert cut.endswith('..') and 'a-name-that-is-much-too-long'.startswith(cut[:-2])
    assert mesh_comparison._length(cut) <= 100 < mesh_comparison._length(cut[:-2] + 'xx..')
