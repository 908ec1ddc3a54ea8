import numpy as np

from hsjp_mm.ops.part_labels import IGNORED
from hsjp_mm.visualization.label_maps import label_colors, overlay, side_by_side


def test_each_label_has_a_color_of_its_own():
    colors = label_colors(24)
    assert colors.shape == (25, 3) and colors[0].tolist() == [0, 0, 0]
    assert len({tuple(color) for color in colors.tolist()}) == 25


def test_labels_lie_over_the_image():
    image = np.full((4, 8, 3), 100, np.uint8)
    labels = np.array([[0, 1], [2, IGNORED]])
    colors = np.array([[0, 0, 0], [200, 0, 0], [0, 50, 0]], np.uint8)
    found = overlay(image, labels, colors)
    assert found.shape == image.shape
    # 0.4 of the image and 0.6 of the color; the cells look at rows 0 and 2, columns 0 and 4
    black, red, green, gray = [40] * 3, [160, 40, 40], [40, 70, 40], [117] * 3  # 40 + 0.6·128
    rows = [[black] * 2 + [red] * 6] + 3 * [[green] * 2 + [gray] * 6]
    assert found.tolist() == rows


def test_tiles_keep_their_shape():
    board = side_by_side([np.zeros((64, 48, 3), np.uint8)] * 3, 'abc')
    assert board.shape == (22 + 224 + 6, 3 * (168 + 6) + 6, 3)
    assert (board[22:246, 6:174] == 0).all() and (board[:, 174:180] == 255).all()
