"""Pictures of groups of related body parts: what makes them and what they are.

Letter: K keypoints.
"""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Wedge

from hsjp_mm.models.utils.part_groups import PartGroups

BONE = '0.6'
WIDTH = 0.5
"""Of a pose in its heights, at least: left and right are close in the mean of many poses."""
RADIUS = 0.025
"""Of a dot in heights of the pose."""


def affinity_picture(affinity: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Draw the normalised mutual information of each two keypoints, as figure 2a of PBN does.

    Args:
        affinity: (K, K); the diagonal is left blank.
        names: K of them.

    Returns:
        (height, width, 3), RGB, uint8.
    """
    labels = [name.replace('_', ' ') for name in names]
    side = 2.5 + 0.3 * len(labels)
    figure = Figure((side + 0.8, side), layout='constrained')
    axes = figure.add_subplot()
    blank = np.where(np.eye(len(labels), dtype=bool), np.nan, affinity)
    image = axes.imshow(blank, 'viridis', vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_title('Normalised mutual information')
    figure.colorbar(image, shrink=0.8)
    return _pixels(figure)


def groups_picture(
    part_groups: PartGroups, pose: np.ndarray, links: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Draw a skeleton whose dots have the colors of their groups, as figure 2b of PBN does.

    A keypoint in several groups has a sector of each.

    Args:
        part_groups: of K keypoints.
        pose: (K, 2), where to draw them; (x, y) in any unit, y down. A narrow one is stretched.
        links: pairs of keypoints to be joined.

    Returns:
        (height, width, 3), RGB, uint8.
    """
    width, height = np.ptp(pose, axis=0)
    pose = pose * (max(1, WIDTH * height / width), 1)
    figure = Figure((7, 6), layout='constrained')
    axes = figure.add_subplot(aspect='equal')
    for a, b in links:
        axes.plot(*pose[[a, b]].T, color=BONE, linewidth=3, zorder=1)
    colors = _colors(len(part_groups.groups))
    radius = RADIUS * height
    for name, point in zip(part_groups.keypoints, pose, strict=True):
        own = [
            color for group, color in zip(part_groups.groups, colors, strict=True) if name in group
        ]
        axes.add_patch(Circle(point, 1.25 * radius, color='white', zorder=2))
        for i, color in enumerate(own):
            sector = 360 / len(own) * np.array([i, i + 1]) + 90
            axes.add_patch(Wedge(point, radius, *sector, color=color, linewidth=0, zorder=3))
    axes.margins(0.08)
    axes.invert_yaxis()
    axes.set_axis_off()
    handles = [Line2D([], [], marker='o', linestyle='', markersize=11, color=c) for c in colors]
    figure.legend(
        handles, [_text(group) for group in part_groups.groups], loc='outside right center',
        frameon=False, labelspacing=0.9,
    )  # fmt: skip
    return _pixels(figure)


def _colors(number: int) -> np.ndarray:
    """As different as can be: the strong ones of tab20, then its pale ones, then a rainbow."""
    if number > 20:
        return matplotlib.colormaps['turbo'](np.linspace(0, 1, number))
    return matplotlib.colormaps['tab20']([*range(0, 20, 2), *range(1, 20, 2)][:number])


def _text(group: Sequence[str]) -> str:
    """Names in lines of three; a left and a right one together as a plural."""
    words: list[str] = []
    for name in group:
        side, _, part = name.partition('_')
        if {f'left_{part}', f'right_{part}'} <= set(group) and side in ('left', 'right'):
            name = f'{part}s'
        if name not in words:
            words.append(name)
    words = [word.replace('_', ' ') for word in words]
    return ',\n'.join(', '.join(words[i : i + 3]) for i in range(0, len(words), 3))


def _pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
