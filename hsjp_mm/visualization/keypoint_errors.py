"""Figures of what keypoint results get wrong, several result files side by side.

Each takes the numbers of :func:`hsjp_mm.analysis.diagnose` by the name of the results. Figures 3
and 4 of the HSJP paper show the same: precision and recall by OKS threshold, and kinds of error.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hsjp_mm.analysis.keypoint_errors import ERRORS, KINDS
from hsjp_mm.visualization.axes import limits_of_shares
from hsjp_mm.visualization.labels import plain_label

Diagnoses = dict[str, dict]
COLORS = {
    'good': '#c9d3d9', 'jitter': '#4477aa', 'inversion': '#ee6677', 'swap': '#ccbb44',
    'miss': '#884499', 'all': '#444444',
}  # fmt: skip
BANDS = matplotlib.colormaps['viridis_r']
COLUMNS = 3
"""Panels in a row, at most."""
LYING, STANDING = 0.035, 0.012
"""Shares from which a part of a bar has room for its number, and for it turned."""


def plot_keypoint_errors(diagnoses: Diagnoses, folder: str | Path) -> list[Path]:
    """Write all figures as PNG.

    Args:
        diagnoses: What :func:`hsjp_mm.analysis.diagnose` returned, by name.
        folder: Made if it is not there.

    Returns:
        The files: precision_recall.png, ap_by_oks.png, errors.png, errors_by_keypoint.png.

    Raises:
        ValueError: No results, or results with different keypoints.
    """
    if not diagnoses:
        raise ValueError('diagnoses is empty: nothing to draw')
    if len({tuple(diagnosis['by_keypoint']) for diagnosis in diagnoses.values()}) > 1:
        raise ValueError(f'diagnoses of different keypoints: {", ".join(diagnoses)}')
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for plot in (precision_recall, ap_by_oks, errors, errors_by_keypoint):
        paths.append(folder / f'{plot.__name__}.png')
        plot(diagnoses).savefig(paths[-1], dpi=130)
    return paths


def precision_recall(diagnoses: Diagnoses) -> Figure:
    """Precision against recall at every OKS threshold, one panel for each result file."""
    figure, panels = _panels(len(diagnoses), 4.2, 3.8)
    for ax, (name, diagnosis) in zip(panels, diagnoses.items(), strict=True):
        thresholds = diagnosis['oks_thresholds']
        colors = BANDS(np.linspace(0.05, 0.95, len(thresholds)))
        rows = zip(thresholds, diagnosis['precision'], diagnosis['AP_by_oks'], colors, strict=True)
        for threshold, precision, ap, color in rows:  # stricter ones lie below, so go on top
            label = f'{threshold:.2f}   {ap:.3f}'
            ax.fill_between(diagnosis['recall'], precision, color=color, lw=0, label=label)
            ax.plot(diagnosis['recall'], precision, color='black', lw=0.6)
        ax.set(xlim=(0, 1), ylim=(0, 1.005), xlabel='recall', ylabel='precision')
        ax.set_title(plain_label(f'{name}: AP {diagnosis["AP"]:.3f}'))
        ax.legend(
            title='OKS    AP', loc='upper left', bbox_to_anchor=(1, 1.02), fontsize=8,
            title_fontsize=8, frameon=False, handlelength=1.2,
        )  # fmt: skip
    return figure


def ap_by_oks(diagnoses: Diagnoses) -> Figure:
    """AP against the OKS threshold; with several results, also the difference to the first."""
    columns = 2 if len(diagnoses) > 1 else 1
    figure, panels = _panels(columns, 5, 3.8)
    first = next(iter(diagnoses))
    differences: list[np.ndarray] = []
    for name, diagnosis in diagnoses.items():
        look: dict[str, Any] = dict(marker='o', ms=4, lw=1.6)
        label = plain_label(f'{name} ({diagnosis["AP"]:.3f})')
        panels[0].plot(diagnosis['oks_thresholds'], diagnosis['AP_by_oks'], label=label, **look)
        if columns == 2:
            gain = np.subtract(diagnosis['AP_by_oks'], diagnoses[first]['AP_by_oks'])
            panels[1].plot(diagnosis['oks_thresholds'], gain, label=label, **look)
            differences.append(gain)
    panels[0].set(ylim=(0, 1), ylabel='AP', title='AP by OKS threshold')
    panels[0].legend(fontsize=9)
    if columns == 2:
        _, reach = limits_of_shares(np.abs(differences).ravel())
        panels[1].set(
            ylim=(-reach, reach), ylabel='AP', title=plain_label(f'difference to {first}')
        )
    for ax in panels:
        ax.set(xlabel='OKS threshold', xticks=diagnoses[first]['oks_thresholds'][::2])
        ax.grid(alpha=0.3)
    return figure


def errors(diagnoses: Diagnoses) -> Figure:
    """Shares of the kinds of error, and the AP that correcting each would bring."""
    height = 1.9 + 0.55 * len(diagnoses)
    figure = Figure(figsize=(11, max(height, 3.2)), layout='constrained')
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    shares = {name: diagnosis['shares'] for name, diagnosis in diagnoses.items()}
    _stack(left, shares, KINDS)
    left.set(xlim=(0, 1), title='keypoints of the persons found', xlabel='share')
    left.legend(ncols=len(KINDS), loc='upper center', bbox_to_anchor=(0.5, -0.2), frameon=False)

    kinds = (*ERRORS, 'all')
    width = 0.8 / len(diagnoses)
    for i, (name, diagnosis) in enumerate(diagnoses.items()):
        gains = [diagnosis['AP_gain'][kind] for kind in kinds]
        places = np.arange(len(kinds)) + (i - (len(diagnoses) - 1) / 2) * width
        bars = right.bar(places, gains, width * 0.92, label=plain_label(name))
        right.bar_label(bars, fmt='%.3f', fontsize=7, padding=1)
    right.set_xticks(range(len(kinds)), kinds)
    right.set(title='AP gained by correcting', ylabel='AP')
    right.set_ylim(
        limits_of_shares((d['AP_gain'][kind] for d in diagnoses.values() for kind in kinds), 0.15)
    )
    right.grid(axis='y', alpha=0.3)
    right.set_axisbelow(True)
    right.legend(fontsize=8)
    return figure


def errors_by_keypoint(diagnoses: Diagnoses) -> Figure:
    """Shares of the kinds of error, not of good ones, for every keypoint."""
    keypoints = next(iter(diagnoses.values()))['by_keypoint']
    figure, panels = _panels(len(diagnoses), 4, 1.4 + 0.25 * len(keypoints), sharex=True)
    for ax, (name, diagnosis) in zip(panels, diagnoses.items(), strict=True):
        shares = {
            f'{keypoint.replace("_", " ")} ({entry["keypoints"]})': entry['shares']
            for keypoint, entry in diagnosis['by_keypoint'].items()
        }
        _stack(ax, shares, ERRORS)
        ax.tick_params(labelsize=8)
        ax.grid(axis='x', alpha=0.3)
        ax.set_axisbelow(True)
        ax.set(title=plain_label(name), xlabel='share of those annotated (how many)')
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, ncols=len(ERRORS), loc='outside upper center', frameon=False,
        fontsize=9, handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip
    return figure


def _panels(number: int, width: float, height: float, **options) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels of a size in inches, in rows of at most three."""
    columns = min(number, COLUMNS)
    rows = -(-number // columns)
    figure = Figure(figsize=(columns * width, rows * height), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for ax in axes[number:]:
        ax.remove()
    return figure, list(axes[:number])


def _stack(ax: Axes, shares: dict[str, dict], kinds: tuple[str, ...]) -> None:
    """Draw a bar for each name, from the top down, made of its shares; none where nobody knows."""
    left = np.zeros(len(shares))
    for kind in kinds:
        parts = np.array([share[kind] or 0 for share in shares.values()])
        bars = ax.barh(range(len(shares)), parts, left=left, color=COLORS[kind], label=kind)
        if kinds == KINDS:
            texts = [f'{100 * part:.1f}' if part >= STANDING else '' for part in parts]
            numbers = ax.bar_label(bars, texts, label_type='center', fontsize=8)
            for number, part in zip(numbers, parts, strict=True):
                number.set_color('white' if kind in ('jitter', 'miss') else 'black')
                number.set_rotation(0 if part >= LYING else 90)
        left += parts
    ax.set_yticks(range(len(shares)), list(map(plain_label, shares)))
    ax.invert_yaxis()
