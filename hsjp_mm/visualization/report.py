"""One HTML file that tells what a pretraining and its fine-tunings came to."""

import base64
import html
import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from hsjp_mm.visualization.page import page, svg, table


@dataclass(frozen=True)
class Measure:
    """A number that a pretraining logs: ``name`` in training, ``pretext/name`` in evaluation.

    Attributes:
        name: in the logs; its chance level, if it has one, is ``name_chance``.
        label: for readers.
        digits: after the point.
    """

    name: str
    label: str
    digits: int = 3


@dataclass(frozen=True)
class Pretext:
    """What to tell of a pretraining.

    Attributes:
        name: the prefix of its evaluation's measures.
        measures: the rows of the table.
        shares: of them, those drawn from 0 to 1 against chance.
        health: a number of the training log, near 0 where nothing is learnt.
    """

    name: str
    measures: tuple[Measure, ...]
    shares: tuple[str, ...]
    health: Measure


SPREAD = Measure('feature_std', 'spread of the vectors (collapsed: 0)')
PRETEXTS = (
    Pretext(
        'hsjp',
        (
            Measure('placed', 'patches placed right'),
            Measure('precision', 'puzzles solved'),
            Measure('error', 'mean error of a patch, pixels', digits=1),
        ),
        shares=('placed',),
        health=Measure('peak', 'mean height of the peaks (targets: 1)'),
    ),
    Pretext(
        'jigclu',
        (
            Measure('location', 'patches located right'),
            Measure('retrieval', 'patches whose nearest one is of the same image'),
            Measure('restored', 'images put together again'),
            SPREAD,
        ),
        shares=('retrieval', 'location'),
        health=SPREAD,
    ),
)


@dataclass
class Run:
    """What a training left in its work folder.

    Attributes:
        name: for legends.
        train: the logged scalars of training, one dict a line, with ``step``.
        val: those of the evaluations.
        seconds: how long it took.
        command: what was run.
        notes: lines worth showing, such as the coverage of the initialisation.
    """

    name: str
    train: list[dict]
    val: list[dict]
    seconds: float
    command: str
    notes: list[str] = field(default_factory=list)


def read_scalars(work_dir: str | Path) -> tuple[list[dict], list[dict]]:
    """Read the newest run's logged scalars of a work folder: training and evaluation.

    Raises:
        FileNotFoundError: the folder holds no run.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{work_dir} holds no finished run (*/vis_data/scalars.json)')
    lines = [json.loads(line) for line in files[-1].read_text().splitlines()]
    return [line for line in lines if 'loss' in line], [
        line for line in lines if 'loss' not in line
    ]


def write_report(
    path: str | Path,
    title: str,
    pretext: Run,
    finetunings: list[Run],
    boards: list[tuple[str, np.ndarray]],
    poses: list[tuple[str, np.ndarray]],
) -> None:
    """Write the report; no other file and no network is needed to open it.

    Args:
        path: the HTML file.
        title: its heading.
        pretext: the pretraining; its evaluations hold HSJPPrecision's or JigCluAccuracy's measures.
        finetunings: with ``coco/AP`` in their evaluations.
        boards: captions and pictures of puzzles, RGB, uint8.
        poses: captions and pictures of predicted poses, RGB, uint8.
    """
    sections = [
        table(['', 'at the end', 'by chance'], measured(pretext)),
        table(
            ['fine-tuning', 'AP at the end', 'highest AP', 'seconds'],
            [[run.name, f'{run.val[-1]["coco/AP"]:.3f}', f'{_best(run):.3f}', f'{run.seconds:.0f}']
             for run in finetunings],
        ),
        '<p>One run of each: from run to run, a tenth of AP may be chance.</p>',
        f'<p>Pretraining took {pretext.seconds:.0f} s.</p>',
        '<h2>Pretraining</h2>',
        _pretext_figure(pretext),
        '<h2>Fine-tuning</h2>',
        _finetuning_figure(finetunings),
        '<h2>Puzzles of the validation set</h2>',
        *(_picture(caption, image) for caption, image in boards),
        '<h2>Predicted poses</h2>',
        *(_picture(caption, image) for caption, image in poses),
        '<h2>What was run</h2>',
        *(f'<pre>{html.escape(chr(10).join([run.command, *run.notes]))}</pre>'
          for run in [pretext, *finetunings]),
    ]  # fmt: skip
    Path(path).write_text(page(title, sections), encoding='utf-8')


def measured(run: Run) -> list[tuple[str, str, str]]:
    """Read what a pretraining came to: label, value and chance level ('' where there is none).

    A measure that the last evaluation lacks, as without a branch of the head, is left out.

    Raises:
        ValueError: the evaluation is of no pretext task known here.
    """
    pretext, last = _pretext(run), run.val[-1]
    rows = []
    for measure in pretext.measures:
        key = f'{pretext.name}/{measure.name}'
        if key in last:
            chance = last.get(f'{key}_chance')
            rows.append(
                (
                    measure.label,
                    _number(last[key], measure.digits),
                    '' if chance is None else _number(chance, measure.digits),
                )
            )
    return rows


def _pretext(run: Run) -> Pretext:
    prefixes = {key.partition('/')[0] for key in run.val[-1]}
    for pretext in PRETEXTS:
        if pretext.name in prefixes:
            return pretext
    names = ', '.join(f'{pretext.name}/…' for pretext in PRETEXTS)
    raise ValueError(
        f'the evaluation of {run.name} holds {", ".join(run.val[-1])}, but none of {names}'
    )


def _number(value: float, digits: int) -> str:
    """Round, or give two significant digits where rounding would leave nothing."""
    return f'{value:.2g}' if 0 < abs(value) < 0.5 * 10**-digits else f'{value:.{digits}f}'


def _best(run: Run) -> float:
    return max(line['coco/AP'] for line in run.val)


def _picture(caption: str, image: np.ndarray) -> str:
    data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    source = 'data:image/jpeg;base64,' + base64.b64encode(data).decode()
    text = html.escape(caption)
    return f'<p>{text}</p><div class="wide"><img alt="{text}" src="{source}"></div>'


def _pretext_figure(run: Run) -> str:
    pretext, last = _pretext(run), run.val[-1]
    figure = Figure(figsize=(10, 3.6), layout='constrained')
    left, right = figure.subplots(1, 2)
    labels = {measure.name: measure.label for measure in pretext.measures}
    for name in pretext.shares:
        key = f'{pretext.name}/{name}'
        if key in last:
            (line,) = left.plot(
                *_curve(run.val, key), marker='o', label=f'{labels[name]}, validation'
            )
            look = dict(color=line.get_color(), lw=1)
            left.plot(*_curve(run.train, name), alpha=0.5, label='in training batches', **look)
            left.axhline(last[f'{key}_chance'], ls='--', label='by chance, validation', **look)
    left.set(xlabel='iteration', ylabel='share', ylim=(0, 1))
    left.legend(fontsize='small')
    right.plot(*_curve(run.train, pretext.health.name))
    right.set(xlabel='iteration', ylabel=pretext.health.label, ylim=(0, 1))
    return svg(figure)


def _finetuning_figure(runs: list[Run]) -> str:
    figure = Figure(figsize=(6, 3.6), layout='constrained')
    axes = figure.subplots()
    for run in runs:
        axes.plot(*_curve(run.val, 'coco/AP'), marker='o', label=run.name)
    # an axis that ends at a few thousandths would make nothing look like a lead
    top = 1.05 * max(0.1, *(_best(run) for run in runs))
    axes.set(xlabel='iteration', ylabel='AP', ylim=(0, top))
    axes.legend()
    return svg(figure)


def _curve(lines: list[dict], key: str) -> tuple[list[int], list[float]]:
    return [line['step'] for line in lines], [line[key] for line in lines]
