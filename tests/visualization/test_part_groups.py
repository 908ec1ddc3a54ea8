"""What is drawn where: colors are looked up in the pictures."""

import matplotlib
import numpy as np
import pytest

from hsjp_mm.models.utils.part_groups import PartGroups
from hsjp_mm.visualization import affinity_picture, groups_picture

NAMES = ('left_hand', 'right_hand', 'head')
POSE = np.array([[3.0, 5], [-3, 5], [0, 0]])
TAB = (np.array(matplotlib.colormaps['tab20'].colors) * 255).round()


def spots(picture: np.ndarray, color: np.ndarray) -> np.ndarray:
    """(row, column) of all pixels of a color."""
    return np.argwhere((abs(picture.astype(float) - color) <= 1).all(axis=2))


def test_each_pair_has_the_color_of_its_affinity():
    affinity = np.array([[0, 0.5, 0], [0.5, 0, 1], [0, 1, 0]])
    picture = affinity_picture(affinity, NAMES)
    rows = []
    for value in (0.5, 1.0):
        found = spots(picture, np.round(255 * np.array(matplotlib.colormaps['viridis'](value)[:3])))
        heights = np.bincount(found[:, 1], minlength=picture.shape[1])
        found = found[heights[found[:, 1]] > 30]  # without the color bar
        (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0)
        half = np.array([top + bottom, left + right]) / 2
        # two squares, mirrored at the diagonal: one above and to the right of the other
        upper, lower = found[found[:, 0] < half[0]], found[found[:, 0] > half[0]]
        assert len(upper) > 400 and abs(len(upper) - len(lower)) < 0.1 * len(upper)
        assert upper[:, 1].mean() > half[1] > lower[:, 1].mean()
        rows.append(half)
    assert (rows[1] > rows[0]).all()  # (1, 2) lies further down the diagonal than (0, 1)


def test_dots_have_the_colors_of_their_groups():
    groups = PartGroups(NAMES, (('left_hand', 'head'), ('right_hand',)))
    picture = groups_picture(groups, POSE, [(0, 2), (1, 2)])
    first, second = spots(picture, TAB[0]), spots(picture, TAB[2])
    legend = first[:, 1].max() - 40  # the dots of the legend are on the right
    first, second = first[first[:, 1] < legend], second[second[:, 1] < legend]
    top, bottom = first[:, 0].min(), first[:, 0].max()
    head, left = first[first[:, 0] < (top + bottom) / 2], first[first[:, 0] > (top + bottom) / 2]
    assert len(head) == pytest.approx(len(left), rel=0.1) == pytest.approx(len(second), rel=0.1)
    (y0, x0), (y1, x1), (y2, x2) = (found.mean(axis=0) for found in (left, second, head))
    assert y0 == pytest.approx(y1, abs=1) and y2 < y0  # y down
    assert x1 < x2 < x0 and x2 == pytest.approx((x0 + x1) / 2, abs=1)
    bone = spots(picture, np.full(3, 153))
    assert abs(bone - [(y0 + y2) / 2, (x0 + x2) / 2]).sum(axis=1).min() < 2


def test_a_keypoint_of_two_groups_is_half_and_half():
    groups = PartGroups(NAMES, (('left_hand', 'head'), ('right_hand', 'head')))
    picture = groups_picture(groups, POSE, [])
    halves = []
    for color in (TAB[0], TAB[2]):
        found = spots(picture, color)
        halves.append(found[found[:, 0] < found[:, 0].min() + 5])  # at the head's top
    assert halves[0][:, 1].max() < halves[1][:, 1].min() + 2
    assert halves[0][:, 1].max() > halves[1][:, 1].min() - 4


def test_a_narrow_pose_is_widened_and_a_wide_one_is_not():
    groups = PartGroups(NAMES, (('left_hand',), ('right_hand',), ('head',)))

    def shape(pose: np.ndarray) -> float:
        """Distance of the hands in heights."""
        picture = groups_picture(groups, pose, [])
        centers = []
        for color in TAB[[0, 2, 4]]:
            found = spots(picture, color)
            found = found[found[:, 1] < found[:, 1].max() - 25]  # without the legend
            centers.append(found.mean(axis=0))
        (y, x0), (_, x1), (top, _) = centers
        return (x0 - x1) / (y - top)

    assert shape(POSE) == pytest.approx(6 / 5, abs=0.02)
    assert shape(POSE * (0.01, 1)) == pytest.approx(0.5, abs=0.02)


def test_more_groups_than_a_palette_has_colors():
    names = tuple(f'p{k}' for k in range(30))
    circle = np.exp(2j * np.pi * np.arange(30) / 30).view(float).reshape(-1, 2)
    picture = groups_picture(PartGroups(names, tuple((n,) for n in names)), circle, [])
    colors, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    large = colors[(counts > 150) & (np.ptp(colors, axis=1) > 30)]
    assert len(large) == 30
