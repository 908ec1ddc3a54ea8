"""Pictures of bodies, on a box whose pixels are known."""

import numpy as np
import pytest

from hsjp_mm.visualization.meshes import (
    ABOVE,
    COLORS,
    PAPER,
    SIDE,
    TRUTH,
    draw_attention,
    draw_meshes,
    draw_points,
    draw_turned,
    mesh_board,
    turntable,
    zoomed,
)
from hsjp_mm.visualization.pictures import TILE

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
FACES = np.array([
    [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
    [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
])  # fmt: skip
CAMERA = np.array([40.0, 40, 20, 15])


def box(size, middle):
    return (CORNERS - 0.5) * size + middle


def drawn(image, background):
    """Left, top, right and bottom of what differs, ends excluded."""
    rows, columns = np.nonzero((image != background).any(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_a_body_lies_over_its_pixels():
    image = np.full((30, 41, 3), 10, np.uint8)
    body = box((1, 0.5, 0.2), (0.1, 0, 4.1))  # its front is at z = 4, 10 pixels a meter
    overlay = draw_meshes(image, [body], FACES, CAMERA)
    assert drawn(overlay, 10) == (16, 13, 27, 18)
    assert (image == 10).all()
    color = overlay[15, 21] / np.array(COLORS[0])
    assert np.ptp(color) < 0.05  # the body's hue
    clear = draw_meshes(image, [body], FACES, CAMERA, opacity=0.5)
    assert (clear[15, 21] < overlay[15, 21]).all()
    np.testing.assert_array_equal(draw_meshes(image, [], FACES, CAMERA), image)


def test_the_nearer_body_covers_the_farther_one():
    image = np.zeros((30, 41, 3), np.uint8)
    near, far = box((1, 1, 0.2), (0, 0, 4)), box((3, 3, 0.2), (0, 0, 8))
    both = draw_meshes(image, [far, near], FACES, CAMERA)
    assert both[15, 20].argmax() == np.argmax(COLORS[1])
    assert both[15, 26].argmax() == np.argmax(COLORS[0])


@pytest.mark.parametrize(
    ('turn', 'wide', 'high'), [(np.eye(3), 1.0, 3.0), (SIDE, 2.0, 3.0), (ABOVE, 1.0, 2.0)]
)
def test_turned_views_show_the_sides_that_they_should(turn, wide, high):
    """A box of 1 m across, 3 m up and 2 m deep."""
    body = box((1, 3, 2), (5, -2, 9))
    picture = draw_turned([body], FACES, turn, 200)
    left, top, right, bottom = drawn(picture, PAPER)
    assert (right - left) / (bottom - top) == pytest.approx(wide / high, rel=0.12)
    assert left + right == pytest.approx(200, abs=3)
    assert top + bottom == pytest.approx(200, abs=3)


def test_what_is_in_front_is_right_of_a_body_seen_from_the_right_and_lower_seen_from_above():
    """In front is nearer to the camera: a small box 2 m nearer than a large one."""
    large, small = box((2, 2, 2), (0, 0, 9)), box((0.4, 0.4, 0.4), (0, 0, 7.6))
    colors = ((0, 255, 0), (255, 0, 0))
    for turn, axis, sign in ((SIDE, 1, -1), (ABOVE, 0, 1)):
        picture = draw_turned([large, small], FACES, turn, 200, colors).astype(int)
        red = np.argwhere(picture[..., 0] > picture[..., 1] + 50).mean(axis=0)
        assert sign * (red[axis] - 100) > 20


def test_zooming_keeps_points_and_camera_together():
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:23, 50:53] = 255
    square, camera, matrix = zoomed(image, CAMERA, np.array([40, 10, 60, 40]), 120)
    assert square.shape == (120, 120, 3)
    place = matrix @ [51, 21, 1]
    white = np.argwhere(square[..., 0] > 128).mean(axis=0)[::-1]
    np.testing.assert_allclose(white, place, atol=0.6)
    point = np.array([0.31, 0.06, 0.4])
    pixel = point[:2] / point[2] * CAMERA[:2] + CAMERA[2:]
    near = point[:2] / point[2] * camera[:2] + camera[2:]
    np.testing.assert_allclose(matrix @ [*pixel, 1], near)


def test_points_are_drawn_where_they_are_and_unknown_ones_not():
    image = np.zeros((40, 60, 3), np.uint8)
    points = np.array([[10.0, 20], [50, 20], [np.nan, 3]])
    picture = draw_points(image, points, [(0, 1), (1, 2)], (0, 200, 0))
    for column in (10, 30, 50):
        assert picture[20, column, 1] > 150
    assert not picture[:10].any()
    far = draw_points(image, np.array([[1e9, 5.0]]))
    assert not far.any()


def test_attention_is_strong_where_a_joint_looks():
    image = np.full((64, 64, 3), 100, np.uint8)
    attention = np.zeros((3, 8, 8))
    attention[1, 2, 5] = 0.02
    picture = draw_attention(image, attention).astype(int)
    changed = np.ptp(picture, axis=2)
    row, column = np.unravel_index(changed.argmax(), changed.shape)
    assert abs(row - 20) <= 4 and abs(column - 44) <= 4
    assert changed[50:, :20].max() == 0


def test_a_board_has_its_tiles():
    image = np.full((60, 80, 3), 90, np.uint8)
    body = box((0.5, 1, 0.3), (0, 0, 4))
    four = mesh_board(image, body, FACES, CAMERA)
    five = mesh_board(
        image, body, FACES, CAMERA, truth=body + 3, keypoints=np.array([[20.0, 15]]),
        crop=np.zeros((64, 48, 3), np.uint8), attention=np.ones((24, 8, 6)),
    )  # fmt: skip
    assert four.shape[1] > 4 * TILE
    assert five.shape[1] == four.shape[1] + TILE + 6
    assert (four[:, : 2 * TILE] != five[:, : 2 * TILE]).any()  # the keypoint
    assert np.ptp(np.array(TRUTH)) == 0


def test_a_turntable_turns_once():
    pictures = turntable(box((1, 2, 0.2), (0, 0, 5)), FACES, 8, 64)
    widths = [np.subtract(*drawn(picture, PAPER)[2::-2]) for picture in pictures]
    assert widths[0] == widths[4] > 2 * widths[2]
    assert len(pictures) == 8
