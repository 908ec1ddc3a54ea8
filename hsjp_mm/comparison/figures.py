"""Figures of a comparison, as elements of a page."""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from hsjp_mm.analysis.keypoint_errors import KINDS
from hsjp_mm.comparison.pretrainings import Pretraining
from hsjp_mm.comparison.runs import FineTuning, percent
from hsjp_mm.comparison.verdicts import Spread, groups
from hsjp_mm.models.pretext.base import Measure
from hsjp_mm.visualization.axes import limits_around, limits_of_shares
from hsjp_mm.visualization.labels import plain_label
from hsjp_mm.visualization.page import svg

# told apart also by those who see few colors (Okabe and Ito)
COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#333333')
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')
# inches: on a phone a figure is as wide as the screen, its letters 10 pixels high
SIZE = (4.5, 3.1)
MOST_INSIDE = 4
"""Names in a legend that leaves room for the curves."""
LINE = 0.2
"""Inches of a line in a legend."""
FONTS = {'font.size': 9, 'svg.fonttype': 'none'}


class Looks:
    """Color, marker and label of each initialisation, the same in all figures."""

    def __init__(self, runs: Sequence[FineTuning]) -> None:
        """Take the names of the initialisations of all runs."""
        self.names = list(dict.fromkeys(run.init for run in runs))
        self.budgets = {run.init: run.budget for run in runs}

    def color(self, name: str) -> str:
        """Of an initialisation."""
        return COLORS[self.names.index(name) % len(COLORS)]

    def marker(self, name: str) -> str:
        """Of an initialisation, another one where the colors begin anew."""
        index = self.names.index(name)
        return MARKERS[(index + index // len(COLORS)) % len(MARKERS)]

    def label(self, name: str) -> str:
        """Of an initialisation: its name, and its budget where that is longer than usual."""
        times = self.budgets[name]
        return name if times == 1 else f'{name}, {times}× as long'

    def legend(self, name: str) -> str:
        """The same for Matplotlib."""
        return plain_label(self.label(name))


def metric_name(runs: Sequence[FineTuning]) -> str:
    """Of the measure, for readers."""
    return measure_name(runs[0].metric)


def measure_name(key: str) -> str:
    """Of any measure, without the name of the metric that all of them share."""
    return key.removeprefix('coco/').removeprefix('mesh/')


def with_unit(key: str) -> str:
    """The name of a measure, with the unit in brackets where it has one."""
    name, unit = measure_name(key), _unit(key)
    return f'{name} ({unit})' if unit else name


def better_note(runs: Sequence[FineTuning]) -> str:
    """What to add to the name of a measure: its unit, and whether less of it is better."""
    notes = [_unit(runs[0].metric), 'less is better' if runs[0].rule == 'less' else '']
    text = ', '.join(filter(None, notes))
    return f' ({text})' if text else ''


def _axis_name(runs: Sequence[FineTuning]) -> str:
    """Of the measure, beside an axis."""
    return plain_label(metric_name(runs) + better_note(runs))


def _unit(key: str) -> str:
    """Of the measures of hsjp_mm.MeshError; others do not say theirs."""
    if not key.startswith('mesh/'):
        return ''
    return '%' if measure_name(key).startswith(('PCK', 'AUC')) else 'mm'


def figure(caption: str, draw: Callable[[Axes], None]) -> str:
    """Draw a figure, with its caption above it."""
    with matplotlib.rc_context(FONTS):
        drawn = Figure(figsize=SIZE, layout='constrained')
        axes = drawn.subplots()
        draw(axes)
        axes.spines[['top', 'right']].set_visible(False)
        picture = svg(drawn)
    text = html.escape(caption)
    picture = picture.replace('<svg', f'<svg role="img" aria-label="{text}"', 1)
    return f'<figure><figcaption>{text}</figcaption>{picture}</figure>'


def grid(figures: Sequence[str]) -> str:
    """Put figures beside and below each other."""
    return f'<div class="figures">{"".join(figures)}</div>'


def panels(runs: Sequence[FineTuning], draw: Callable) -> str:
    """A figure for each share of the labels."""
    drawn = []
    for share in sorted({run.fraction for run in runs}):
        group = {name: g for (fraction, name), g in groups(runs).items() if fraction == share}
        drawn.append(figure(f'{percent(share)} of the labels', partial(draw, group=group)))
    return grid(drawn)


def limits_of(runs: Sequence[FineTuning], values: Iterable[float]) -> tuple[float, float]:
    """Ends of the axis of a measure: from 0 for shares, around the values for all else."""
    known = [value for value in values if math.isfinite(value)]
    if runs[0].rule == 'greater' and all(0 <= value <= 1 for value in known):
        return limits_of_shares(known)
    return limits_around(known)


def _draw_band(axes: Axes, x: Sequence[float], ys: np.ndarray, name: str, looks: Looks) -> None:
    """The mean of several seeds (rows of ys) as a line, their range as a band."""
    color = looks.color(name)
    axes.plot(
        x, ys.mean(axis=0), color=color, marker=looks.marker(name), ms=4, label=looks.legend(name)
    )
    if len(ys) > 1:
        axes.fill_between(x, ys.min(axis=0), ys.max(axis=0), color=color, alpha=0.2, lw=0)


def draw_curves(
    axes: Axes, group: dict[str, list[FineTuning]], looks: Looks, limits: tuple[float, float]
) -> None:
    """The measure against images seen."""
    for name, runs in group.items():
        images = sorted(set.intersection(*({x for x, _ in run.curve} for run in runs)))
        ys = np.array([[dict(run.curve)[x] for x in images] for run in runs])
        _draw_band(axes, images, ys, name, looks)
    one = next(iter(group.values()))
    axes.set(
        xlabel='images seen',
        ylabel=_axis_name(one),
        ylim=limits,
        xlim=(0, None),
    )
    _ticks(axes)
    _legend(axes)


def _legend(axes: Axes) -> None:
    """In the figure where it leaves room for the curves, else below a figure made higher for it."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) <= MOST_INSIDE:
        axes.legend(frameon=False)
        return
    drawn = axes.figure
    assert isinstance(drawn, Figure)
    columns = 2 if max(map(len, labels)) <= 24 else 1
    drawn.set_size_inches(SIZE[0], SIZE[1] + LINE * math.ceil(len(labels) / columns))
    drawn.legend(handles, labels, loc='outside lower center', ncols=columns, frameon=False)


def _thousands(value: float, _: int = 0) -> str:
    for size, letter in ((1e6, ' M'), (1e3, 'k')):
        if value >= size:
            return f'{value / size:g}{letter}'
    return f'{value:g}'


def draw_labels(axes: Axes, runs: Sequence[FineTuning], looks: Looks) -> None:
    """The measure at the end against the share of the labels, a dot for each seed."""
    shares = sorted({run.fraction for run in runs})
    for index, name in enumerate(looks.names):
        own = {share: group for (share, init), group in groups(runs).items() if init == name}
        # beside each other, or they would hide one another
        shift = 1.03 ** (index - (len(looks.names) - 1) / 2)
        places = [share * shift for share in sorted(own)]
        spreads = [Spread(tuple(run.score for run in own[share])) for share in sorted(own)]
        means = [spread.mean for spread in spreads]
        reach = _reach(means, [s.low for s in spreads], [s.high for s in spreads])
        color, marker = looks.color(name), looks.marker(name)
        look: dict = dict(label=looks.legend(name), color=color, marker=marker)
        axes.errorbar(places, means, reach, capsize=3, ms=5, **look)
        for place, spread in zip(places, spreads, strict=True):
            dots = [place] * len(spread.values)
            axes.scatter(dots, spread.values, s=9, alpha=0.5, color=color, marker=marker)
    axes.set_xscale('log')
    axes.set_xticks(shares, [percent(share) for share in shares])
    axes.minorticks_off()
    axes.set(xlabel='share of the labels', ylabel=_axis_name(runs))
    axes.set_ylim(limits_of(runs, (run.score for run in runs)))
    _legend(axes)


def draw_costs(
    axes: Axes,
    group: dict[str, list[FineTuning]],
    seconds: Mapping[str, float],
    looks: Looks,
    limits: tuple[float, float],
) -> None:
    """The measure at the end against the hours of labelling before it."""
    for name, runs in group.items():
        spread = Spread([run.score for run in runs])
        reach = _reach([spread.mean], [spread.low], [spread.high])
        look: dict = dict(label=looks.legend(name), color=looks.color(name), ls='')
        hours = seconds[name] / 3600
        axes.errorbar([hours], [spread.mean], reach, marker=looks.marker(name), capsize=3, **look)
    runs = next(iter(group.values()))
    axes.set(xlabel='hours of labelling for the pretraining', ylabel=_axis_name(runs), ylim=limits)
    axes.margins(x=0.08)
    _legend(axes)


def _reach(mean: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Lengths of error bars; a mean of equal values may be off by a rounding."""
    return np.maximum([np.subtract(mean, low), np.subtract(high, mean)], 0)


def draw_thresholds(
    axes: Axes,
    group: dict[str, list[FineTuning]],
    errors: Mapping[str, dict],
    looks: Looks,
    limits: tuple[float, float],
) -> None:
    """AP by OKS threshold."""
    for name, runs in group.items():
        x = errors[runs[0].folder]['oks_thresholds']
        ys = np.array([errors[run.folder]['AP_by_oks'] for run in runs])
        _draw_band(axes, x, ys, name, looks)
    axes.set(xlabel='OKS threshold', ylabel='AP', ylim=limits)
    _legend(axes)


def draw_kinds(
    axes: Axes, group: dict[str, list[FineTuning]], errors: Mapping[str, dict], looks: Looks
) -> None:
    """Shares of the kinds of error."""
    width = 0.8 / len(group)
    for index, (name, runs) in enumerate(group.items()):
        shares = np.array(
            [[errors[run.folder]['shares'][kind] or 0 for kind in KINDS] for run in runs]
        )
        mean = shares.mean(axis=0)
        reach = _reach(mean, shares.min(axis=0), shares.max(axis=0))
        places = np.arange(len(KINDS)) + (index - (len(group) - 1) / 2) * width
        axes.bar(
            places, mean, width * 0.9, color=looks.color(name), label=looks.legend(name),
            yerr=reach if len(runs) > 1 else None, error_kw=dict(lw=1, capsize=2),
        )  # fmt: skip
    axes.set_xticks(range(len(KINDS)), KINDS)
    axes.set(ylabel='share of keypoints', ylim=(0, 1))
    _legend(axes)


def pretraining_figures(pretraining: Pretraining) -> str:
    """Draw a pretraining's measures and its health against iterations.

    All shares are in one figure from 0 to 1, beside their chance level; all else has its own.
    """
    shares = [measure for measure in pretraining.logged() if measure.share]
    others = [measure for measure in pretraining.logged() if not measure.share]
    drawn = []
    if shares:
        drawn.append(figure('Shares', partial(_draw_measures, pretraining, shares)))
    drawn += [figure(m.label, partial(_draw_measures, pretraining, [m])) for m in others]
    health = pretraining.health
    if health and any(health.name in line for line in pretraining.train):
        drawn.append(figure(f'{health.label}, in training', partial(_draw_health, pretraining)))
    elif not drawn:
        drawn.append(figure('Loss', partial(_draw_loss, pretraining)))
    return grid(drawn)


def _draw_measures(pretraining: Pretraining, measures: Sequence[Measure], axes: Axes) -> None:
    """Each in validation, in training and by chance, as far as they are logged."""
    for measure in measures:
        val = _curve(pretraining.val, measure.name)
        (line,) = axes.plot(*val, marker='o', ms=4, label=plain_label(measure.label))
        look: dict = dict(color=line.get_color(), lw=1)
        in_training = _curve(pretraining.train, measure.in_training)
        if in_training[0] and measure.in_training != measure.name:
            axes.plot(*in_training, alpha=0.5, label='in training batches', **look)
        chance = pretraining.val[-1].get(f'{measure.name}_chance')
        if chance is not None:
            axes.axhline(chance, ls='--', label='by chance', **look)
    share = all(measure.share for measure in measures)
    axes.set(xlabel='iterations', ylabel='share' if share else '', xlim=(0, None))
    axes.set_ylim((0, 1) if share else _limits_of_lines(axes))
    _finish(axes)


def _draw_health(pretraining: Pretraining, axes: Axes) -> None:
    assert pretraining.health is not None
    axes.plot(*_curve(pretraining.train, pretraining.health.name))
    axes.set(xlabel='iterations', xlim=(0, None))
    axes.set_ylim(0, 1 if pretraining.health.share else None)  # near 0 is what is looked for
    _ticks(axes)


def _draw_loss(pretraining: Pretraining, axes: Axes) -> None:
    axes.plot(*_curve(pretraining.train, 'loss'))
    axes.set(xlabel='iterations', xlim=(0, None), ylim=_limits_of_lines(axes))
    _ticks(axes)


def _limits_of_lines(axes: Axes) -> tuple[float, float]:
    return limits_around(float(y) for line in axes.lines for y in np.ravel(line.get_ydata()))


def _finish(axes: Axes) -> None:
    _ticks(axes)
    axes.legend(frameon=False, fontsize='small')


def _ticks(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.locator_params(axis='x', nbins=6)


def _curve(lines: Sequence[Mapping], key: str) -> tuple[list[int], list[float]]:
    known = [line for line in lines if key in line]
    return [line['step'] for line in known], [line[key] for line in known]
