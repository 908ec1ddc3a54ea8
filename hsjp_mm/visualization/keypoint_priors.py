"""Figures of where in their boxes keypoints lie, as the HSJP paper's supplement has them."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hsjp_mm.analysis.keypoint_priors import KeypointPriors

LIMBS = {
    'upper_limbs': ('shoulder', 'elbow', 'wrist'), 'lower_limbs': ('hip', 'knee', 'ankle'),
}  # fmt: skip
HEAD = ('nose', 'eye', 'ear', 'head_top', 'head', 'upper_neck', 'neck')
COLORS = matplotlib.colormaps['Blues']
PANEL = 2.3
"""Side of a panel in inches."""
WRITTEN = 6
"""Finest grid whose patches have room for their share."""


def plot_keypoint_priors(priors: KeypointPriors, folder: str | Path) -> list[Path]:
    """Draw a figure of the head, the upper and the lower limbs, and of what else there is.

    Each keypoint has a panel: its box in N×N patches with their shares in percent; beneath it the
    share outside of the box and how often it is labelled.

    Args:
        priors: from :func:`~hsjp_mm.analysis.measure_priors`.
        folder: made if it is not there.

    Returns:
        The files: head.png, upper_limbs.png, lower_limbs.png, other.png, without those that no
        keypoint is for.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for part, columns in _parts(priors.names).items():
        paths.append(folder / f'{part}.png')
        _figure(priors, columns).savefig(paths[-1], dpi=130)
    return paths


def _parts(names: tuple[str, ...]) -> dict[str, list[list[str]]]:
    """Sort names into parts of the body, and there into columns of a left and a right one."""
    parts: dict[str, dict[str, list[str]]] = {'head': {}, **{part: {} for part in LIMBS}}
    parts['other'] = {}
    known = {joint: part for part, joints in LIMBS.items() for joint in joints}
    known |= dict.fromkeys(HEAD, 'head')
    for name in names:
        joint = name.removeprefix('left_').removeprefix('right_')
        parts[known.get(joint, 'other')].setdefault(joint, []).append(name)
    order = {joint: place for place, joint in enumerate((*HEAD, *sum(LIMBS.values(), ())))}
    return {
        part: [columns[joint] for joint in sorted(columns, key=lambda j: order.get(j, len(order)))]
        for part, columns in parts.items()
        if columns
    }


def _figure(priors: KeypointPriors, columns: list[list[str]]) -> Figure:
    rows = max(map(len, columns))
    size = (PANEL * len(columns) + 0.9, (PANEL + 0.45) * rows)
    figure = Figure(size, layout='constrained')
    panels = figure.subplots(rows, len(columns), squeeze=False)
    for place in np.ndindex(panels.shape):
        panels[place].axis('off')
    for column, names in enumerate(columns):
        for row, name in enumerate(sorted(names, reverse=True)):  # right above left
            image = _panel(panels[row, column], priors, priors.names.index(name))
    figure.colorbar(image, ax=panels, shrink=0.6, label='% of labelled')
    return figure


def _panel(ax: Axes, priors: KeypointPriors, keypoint: int):
    shares = 100 * priors.shares[keypoint]
    image = ax.imshow(shares, COLORS, vmin=0, vmax=_ceiling(priors), extent=(0, 1, 1, 0))
    ax.axis('on')
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(priors.names[keypoint].replace('_', ' '), fontsize=10)
    number = priors.labelled[keypoint]
    outside = f'{100 * priors.outside[keypoint]:.0f}% outside, ' if number else ''
    ax.set_xlabel(f'{outside}labelled {number:,}×', fontsize=8)
    grid = len(shares)
    if grid <= WRITTEN and number:
        for row, column in np.ndindex(shares.shape):
            share = shares[row, column]
            dark = share > 0.6 * _ceiling(priors)
            ax.text(
                (column + 0.5) / grid, (row + 0.5) / grid, f'{share:.0f}', ha='center',
                va='center', color='white' if dark else 'black', fontsize=11 - grid,
            )  # fmt: skip
    for line in np.arange(1, grid) / grid:
        ax.axhline(line, color='white', lw=1)
        ax.axvline(line, color='white', lw=1)
    return image


def _ceiling(priors: KeypointPriors) -> float:
    return 100 * float(np.nanmax(priors.shares))
