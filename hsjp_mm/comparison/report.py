"""One HTML file that compares fine-tunings of several initialisations."""

import html
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from hsjp_mm.analysis.keypoint_errors import ERRORS, KINDS
from hsjp_mm.comparison.runs import (
    Failure,
    FineTuning,
    Spread,
    groups,
    number_form,
    sha256_of,
    spread_note,
    verdicts,
)
from hsjp_mm.visualization.page import page, svg, table

# told apart also by those who see few colours (Okabe and Ito)
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#333333')
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')
# inches: on a phone a figure is as wide as the screen, its letters 10 pixels high
SIZE = (4.5, 3.1)
DASH = '\u2060–\u2060'  # at which no line breaks
FONTS = {'font.size': 9, 'svg.fonttype': 'none'}
STYLE = """
h2 { margin-top: 2.5rem; } td, th { vertical-align: top; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr));
  gap: 1rem; } figure { margin: 0; } .figures svg { width: 100%; }
figcaption { font-weight: 600; } .note { color: #444; } .scroll { overflow-x: auto; }
.scroll table { font-size: .9rem; } .nowrap table { white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }
.failed { border-left: .3rem solid #b00; padding-left: .8rem; } code { overflow-wrap: anywhere; }
li { margin: .3rem 0; } pre { font-size: .8rem; } summary { cursor: pointer; }
"""


class _Looks:
    """Colour and marker of each initialisation, the same in all figures."""

    def __init__(self, runs: Sequence[FineTuning]) -> None:
        self.names = list(dict.fromkeys(run.init for run in runs))

    def colour(self, name: str) -> str:
        return COLOURS[self.names.index(name) % len(COLOURS)]

    def marker(self, name: str) -> str:
        return MARKERS[self.names.index(name) % len(MARKERS)]


def write_comparison(
    path: str | Path,
    title: str,
    runs: Sequence[FineTuning],
    failures: Sequence[Failure] = (),
    errors: Mapping[str, dict] | None = None,
    undiagnosed: Mapping[str, str] | None = None,
) -> None:
    """Write the report; no other file and no network is needed to open it.

    Args:
        path: The HTML file.
        title: Its heading.
        runs: That can be compared, see :func:`hsjp_mm.comparison.runs.collect`.
        failures: Runs that are missing, which are told of.
        errors: By folder of a run, its diagnosis by ``diagnose``.
        undiagnosed: By folder, why there is none.

    Raises:
        ValueError: There is nothing to compare.
    """
    if not runs:
        raise ValueError('runs: none is finished, so there is nothing to compare')
    looks, errors = _Looks(runs), errors or {}
    limits = _limits(runs, (value for run in runs for _, value in run.curve))
    sections = [
        _what(runs),
        *_failed(failures),
        '<h2>What it shows</h2>',
        *_shown(runs),
        f'<h2>{_name(runs)} against images seen</h2>',
        _panels(runs, partial(_draw_curves, looks=looks, limits=limits)),
        *_by_labels(runs, looks),
        *_diagnoses(runs, errors, undiagnosed or {}, looks),
        '<h2>What it cost</h2>',
        *_costs(runs),
        '<h2>Where the weights came from</h2>',
        _coverage(runs),
        '<h2>What was run</h2>',
        *_provenance(runs),
    ]
    Path(path).write_text(page(title, sections, STYLE), encoding='utf-8')


def _name(runs: Sequence[FineTuning]) -> str:
    """Of the measure, for readers."""
    return runs[0].metric.removeprefix('coco/')


def _better(runs: Sequence[FineTuning]) -> str:
    """What to add to the name of a measure of which less is better."""
    return ' (less is better)' if runs[0].rule == 'less' else ''


def _percent(fraction: float) -> str:
    return f'{100 * fraction:.10g} %'


def _join(words: Sequence[str]) -> str:
    return ' and '.join([', '.join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _what(runs: Sequence[FineTuning]) -> str:
    names = list(dict.fromkeys(run.init for run in runs))
    shares = [_percent(f) for f in sorted({run.fraction for run in runs})]
    seeds = sorted({run.seed for run in runs})
    one = runs[0]
    return (
        f'<p>The same fine-tuning from {len(names)} initialisations '
        f'({html.escape(_join(names))}), on {_join(shares)} of the labels, '
        f'seed{"s" * (len(seeds) > 1)} {_join(list(map(str, seeds)))}: {len(runs)} runs. All have '
        f'the same budget, whatever the share of the labels: {one.iterations:,} iterations, in '
        f'which {one.images:,} images (in top-down models, crops of persons) are seen; with few '
        'labels, the same ones more often. A seed draws what is not loaded, the order of the '
        'images, and which labels are used: all initialisations get the same ones. What the '
        'pretraining itself cost is not in it.</p>'
    )


def _failed(failures: Sequence[Failure]) -> list[str]:
    if not failures:
        return []
    items = [
        f'<details><summary>{html.escape(f.title)}: {html.escape(f.reason)}</summary>'
        f'<p><code>{html.escape(f.folder)}</code></p><pre>{html.escape(f.log)}</pre></details>'
        for f in failures
    ]
    number = len(failures)
    head = (
        f'{number} run{"s" * (number > 1)} failed or unfinished, and left out of all that follows:'
    )
    return [f'<div class="failed"><p><strong>{head}</strong></p>{"".join(items)}</div>']


def _shown(runs: Sequence[FineTuning]) -> list[str]:
    found, form = groups(runs), number_form(run.score for run in runs)
    shares = sorted({fraction for fraction, _ in found})
    rows = [
        [name, *(_score(found.get((share, name), []), form) for share in shares)]
        for name in _Looks(runs).names
    ]
    header = [
        f'{_name(runs)} at the end{_better(runs)}',
        *(f'{_percent(share)} of labels' for share in shares),
    ]
    parts = [f'<div class="scroll">{table(header, rows)}</div>']
    for share, sentences in verdicts(runs).items():
        if sentences:
            items = ''.join(f'<li>{html.escape(sentence)}</li>' for sentence in sentences)
            parts.append(f'<p>With {_percent(share)} of the labels:</p><ul>{items}</ul>')
    return [*parts, f'<p class="note">{html.escape(spread_note(runs))}</p>']


def _score(group: Sequence[FineTuning], form: str) -> str:
    if not group:
        return '–'
    return _range([run.score for run in group], form)


def _range(values: Sequence[float], form: str) -> str:
    """Mean and range; of one value, itself."""
    spread = Spread(tuple(values))
    if len(values) == 1:
        return f'{spread.mean:{form}}'
    return f'{spread.mean:{form}} ({spread.low:{form}}{DASH}{spread.high:{form}})'


def _figure(caption: str, draw: Callable[[Axes], None]) -> str:
    with matplotlib.rc_context(FONTS):
        figure = Figure(figsize=SIZE, layout='constrained')
        axes = figure.subplots()
        draw(axes)
        axes.spines[['top', 'right']].set_visible(False)
        picture = svg(figure)
    text = html.escape(caption)
    picture = picture.replace('<svg', f'<svg role="img" aria-label="{text}"', 1)
    return f'<figure><figcaption>{text}</figcaption>{picture}</figure>'


def _figures(figures: Sequence[str]) -> str:
    return f'<div class="figures">{"".join(figures)}</div>'


def _panels(runs: Sequence[FineTuning], draw: Callable) -> str:
    """A figure for each share of the labels."""
    figures = []
    for share in sorted({run.fraction for run in runs}):
        group = {name: g for (fraction, name), g in groups(runs).items() if fraction == share}
        figures.append(_figure(f'{_percent(share)} of the labels', partial(draw, group=group)))
    return _figures(figures)


def _limits(runs: Sequence[FineTuning], values: Iterable[float]) -> tuple[float, float]:
    """Ends of the axis of a measure: from 0 for shares, around the values for all else."""
    known = [value for value in values if math.isfinite(value)]
    if runs[0].rule == 'greater' and all(0 <= value <= 1 for value in known):
        return 0, _top(known)
    margin = 0.05 * ((max(known) - min(known)) or abs(known[0]) or 1)
    return min(known) - margin, max(known) + margin


def _top(shares: Iterable[float]) -> float:
    # an axis that ends at a few thousandths would make nothing look like a lead
    return 1.05 * max(0.1, *shares)


def _draw_band(axes: Axes, x: Sequence[float], ys: np.ndarray, name: str, looks: _Looks) -> None:
    """The mean of several seeds (rows of ys) as a line, their range as a band."""
    colour = looks.colour(name)
    axes.plot(x, ys.mean(axis=0), color=colour, marker=looks.marker(name), ms=4, label=name)
    if len(ys) > 1:
        axes.fill_between(x, ys.min(axis=0), ys.max(axis=0), color=colour, alpha=0.2, lw=0)


def _draw_curves(
    axes: Axes, group: dict[str, list[FineTuning]], looks: _Looks, limits: tuple[float, float]
) -> None:
    for name, runs in group.items():
        images = sorted(set.intersection(*({x for x, _ in run.curve} for run in runs)))
        ys = np.array([[dict(run.curve)[x] for x in images] for run in runs])
        _draw_band(axes, images, ys, name, looks)
    one = next(iter(group.values()))
    axes.set(xlabel='images seen', ylabel=_name(one) + _better(one), ylim=limits, xlim=(0, None))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.locator_params(axis='x', nbins=6)
    axes.legend(frameon=False)


def _thousands(value: float, _: int = 0) -> str:
    for size, letter in ((1e6, ' M'), (1e3, 'k')):
        if value >= size:
            return f'{value / size:g}{letter}'
    return f'{value:g}'


def _by_labels(runs: Sequence[FineTuning], looks: _Looks) -> list[str]:
    shares = sorted({run.fraction for run in runs})
    if len(shares) == 1:
        return []
    figure = _figure(
        f'{_name(runs)} at the end by share of the labels; a dot for each seed',
        lambda axes: _draw_labels(axes, runs, looks),
    )
    return [f'<h2>{_name(runs)} against share of the labels</h2>', _figures([figure])]


def _draw_labels(axes: Axes, runs: Sequence[FineTuning], looks: _Looks) -> None:
    shares = sorted({run.fraction for run in runs})
    for index, name in enumerate(looks.names):
        own = {share: group for (share, init), group in groups(runs).items() if init == name}
        # beside each other, or they would hide one another
        shift = 1.03 ** (index - (len(looks.names) - 1) / 2)
        places = [share * shift for share in sorted(own)]
        spreads = [Spread(tuple(run.score for run in own[share])) for share in sorted(own)]
        means = [spread.mean for spread in spreads]
        reach = _reach(means, [s.low for s in spreads], [s.high for s in spreads])
        colour, marker = looks.colour(name), looks.marker(name)
        axes.errorbar(
            places, means, reach, capsize=3, ms=5, label=name, color=colour, marker=marker
        )
        for place, spread in zip(places, spreads, strict=True):
            dots = [place] * len(spread.values)
            axes.scatter(dots, spread.values, s=9, alpha=0.5, color=colour, marker=marker)
    axes.set_xscale('log')
    axes.set_xticks(shares, [_percent(share) for share in shares])
    axes.minorticks_off()
    axes.set(xlabel='share of the labels', ylabel=_name(runs) + _better(runs))
    axes.set_ylim(_limits(runs, (run.score for run in runs)))
    axes.legend(frameon=False)


def _reach(mean: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Lengths of error bars; a mean of equal values may be off by a rounding."""
    return np.maximum([np.subtract(mean, low), np.subtract(high, mean)], 0)


def _diagnoses(
    runs: Sequence[FineTuning],
    errors: Mapping[str, dict],
    undiagnosed: Mapping[str, str],
    looks: _Looks,
) -> list[str]:
    known = [run for run in runs if run.folder in errors]
    notes = [
        f'<p class="note">{_whose(number, len(runs))} no diagnosis of errors: '
        f'{html.escape(reason)}.</p>'
        for reason, number in Counter(undiagnosed.values()).items()
    ]
    if not known:
        return ['<h2>Kinds of error</h2>', *notes] if notes else []
    highest = _top(y for run in known for y in errors[run.folder]['AP_by_oks'])
    return [
        '<h2>AP by OKS threshold</h2>',
        '<p class="note">How exact the keypoints are: at 0.5 a rough place is enough, at 0.95 '
        'hardly any deviation is forgiven.</p>',
        _panels(known, partial(_draw_thresholds, errors=errors, looks=looks, top=highest)),
        '<h2>Kinds of error</h2>',
        '<p class="note">Of the keypoints of the persons found, after Ronchi and Perona (ICCV '
        '2017): good; jitter, near the right place; inversion, on the person’s other side; swap, '
        'on another person; miss, nowhere near. Means over seeds, with their range.</p>',
        _panels(known, partial(_draw_kinds, errors=errors, looks=looks)),
        '<p class="note">AP that correcting all keypoints of a kind, and no others, would add; '
        'means over seeds:</p>',
        f'<div class="scroll nowrap">{_gains(known, errors)}</div>',
        *notes,
    ]


def _whose(number: int, of: int) -> str:
    return 'There is' if number == of else f'Of {number} of {of} runs there is'


def _draw_thresholds(
    axes: Axes,
    group: dict[str, list[FineTuning]],
    errors: Mapping[str, dict],
    looks: _Looks,
    top: float,
) -> None:
    for name, runs in group.items():
        x = errors[runs[0].folder]['oks_thresholds']
        ys = np.array([errors[run.folder]['AP_by_oks'] for run in runs])
        _draw_band(axes, x, ys, name, looks)
    axes.set(xlabel='OKS threshold', ylabel='AP', ylim=(0, top))
    axes.legend(frameon=False)


def _draw_kinds(
    axes: Axes, group: dict[str, list[FineTuning]], errors: Mapping[str, dict], looks: _Looks
) -> None:
    width = 0.8 / len(group)
    for index, (name, runs) in enumerate(group.items()):
        shares = np.array(
            [[errors[run.folder]['shares'][kind] or 0 for kind in KINDS] for run in runs]
        )
        mean = shares.mean(axis=0)
        reach = _reach(mean, shares.min(axis=0), shares.max(axis=0))
        places = np.arange(len(KINDS)) + (index - (len(group) - 1) / 2) * width
        axes.bar(
            places, mean, width * 0.9, color=looks.colour(name), label=name,
            yerr=reach if len(runs) > 1 else None, error_kw=dict(lw=1, capsize=2),
        )  # fmt: skip
    axes.set_xticks(range(len(KINDS)), KINDS)
    axes.set(ylabel='share of keypoints', ylim=(0, 1))
    axes.legend(frameon=False)


def _gains(runs: Sequence[FineTuning], errors: Mapping[str, dict]) -> str:
    rows = []
    for (share, name), group in groups(runs).items():
        means = [
            np.mean([errors[run.folder]['AP_gain'][kind] for run in group])
            for kind in (*ERRORS, 'all')
        ]
        rows.append([_percent(share), name, *(f'{mean:+.3f}' for mean in means)])
    return table(['labels', 'from', *ERRORS, 'all four'], rows)


def _costs(runs: Sequence[FineTuning]) -> list[str]:
    header = ['labels', 'from', 'runs', 'seconds', 'images seen', 'memory, MiB', 'GPU, MiB']
    rows = [
        [
            _percent(share),
            name,
            str(len(group)),
            _range([run.seconds for run in group], ',.0f'),
            f'{group[0].images:,}',
            _memory([run.host_memory for run in group]),
            _memory([run.gpu_memory for run in group]),
        ]
        for (share, name), group in groups(runs).items()
    ]
    return [
        f'<div class="scroll nowrap">{table(header, rows)}</div>',
        '<p class="note">Seconds are those of the log, evaluations and resumed attempts included: '
        'means, with the range over seeds. Runs beside each other, or other work on the machine, '
        'lengthen them. Memory is the peak of the largest process.</p>',
    ]


def _memory(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f'{max(known):,.0f}' if known else '–'


def _coverage(runs: Sequence[FineTuning]) -> str:
    lines = dict.fromkeys((run.init, run.coverage) for run in runs)
    items = ''.join(
        f'<li><strong>{html.escape(name)}</strong>: <code>{html.escape(line)}</code></li>'
        for name, line in lines
    )
    return f'<ul>{items}</ul>'


def _provenance(runs: Sequence[FineTuning]) -> list[str]:
    versions = list(dict.fromkeys(_versions(run) for run in runs))
    parts = [f'<p>Versions: {html.escape(text)}</p>' for text in versions]
    if len(versions) > 1:
        parts.insert(0, '<p><strong>Not all runs were made with the same versions.</strong></p>')
    protocol = sha256_of(runs[0].protocol)
    parts.append(
        '<p>All runs share one protocol, the config without initialisation, seed and share of the '
        f'labels; SHA-256 <code>{protocol}</code></p>'
    )
    return [*parts, *map(_record, runs)]


def _versions(run: FineTuning) -> str:
    known = [f'{name} {version}' for name, version in run.versions.items()]
    return ', '.join(known) or 'not recorded'


def _record(run: FineTuning) -> str:
    """Commands and hashes of a run, folded."""
    lines = run.commands or ['command not recorded; read from the work folder']
    lines = [*lines, *(f'sha256 {digest}  {name}' for name, digest in run.hashes.items())]
    if run.labels:
        lines.append(f'labels: {run.labels}')
    summary = (
        f'{run.init}, {_percent(run.fraction)} of the labels, seed {run.seed}: '
        f'{_name([run])} {run.score:{number_form([run.score])}}'
    )
    return (
        f'<details><summary>{html.escape(summary)}</summary><p><code>{html.escape(run.folder)}'
        f'</code></p><pre>{html.escape(chr(10).join(lines))}</pre></details>'
    )
