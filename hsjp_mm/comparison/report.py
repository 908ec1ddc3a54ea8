"""One HTML file that compares fine-tunings of several initialisations."""

import base64
import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from hsjp_mm.analysis.keypoint_errors import ERRORS
from hsjp_mm.comparison.figures import (
    Looks,
    better_note,
    draw_costs,
    draw_curves,
    draw_kinds,
    draw_labels,
    draw_thresholds,
    figure,
    grid,
    limits_of,
    metric_name,
    panels,
    pretraining_figures,
    with_unit,
)
from hsjp_mm.comparison.gallery import Pictures, boards_of, poses_of
from hsjp_mm.comparison.labelling_cost import LabellingCost
from hsjp_mm.comparison.logs import Failure
from hsjp_mm.comparison.meshes_of_runs import Bodies, bodies_of, predict_bodies
from hsjp_mm.comparison.pretrainings import Pretraining
from hsjp_mm.comparison.published import Published, sentences_on
from hsjp_mm.comparison.records import costs, coverage, provenance, setting
from hsjp_mm.comparison.run_table import write_runs
from hsjp_mm.comparison.runs import FineTuning, collect, diagnose_all, number_form, percent
from hsjp_mm.comparison.verdicts import DASH, Spread, groups, leads, spread_note, verdicts, written
from hsjp_mm.utils.files import writable_file, write_text
from hsjp_mm.visualization.axes import limits_of_shares
from hsjp_mm.visualization.page import page, table

STYLE = """
h2 { margin-top: 2.5rem; } td, th { vertical-align: top; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr));
  gap: 1rem; } figure { margin: 0; } .figures svg { width: 100%; }
figcaption { font-weight: 600; } .note { color: light-dark(#444, #bbb); }
.scroll { overflow-x: auto; } .natural img { max-width: none; min-width: 0; }
.scroll table { font-size: .9rem; } .nowrap table { white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }
.failed { border-left: .3rem solid light-dark(#b00, #f66); padding-left: .8rem; }
code { overflow-wrap: anywhere; }
li { margin: .3rem 0; } pre { font-size: .8rem; } summary { cursor: pointer; }
"""


MOST_LISTED = 10
"""Pairs of initialisations that are told one by one; more are summed up, and folded."""


def require_page(path: str | Path) -> None:
    """Refuse a report that cannot be written, or over which the table beside it would be.

    Raises:
        ValueError: The path ends in .csv.
        OSError: It is a folder, or it or the table may not be written.
    """
    if Path(path).suffix.lower() == '.csv':
        raise ValueError(
            f'report={str(path)!r} must be an HTML file; the table goes beside it, as .csv'
        )
    for file in (Path(path), Path(path).with_suffix('.csv')):
        writable_file(file, 'report')


def report_on(
    path: str | Path,
    title: str,
    folders: Iterable[str | Path],
    names: Mapping[str, str] | None = None,
    metric: str = 'coco/AP',
    rule: str | None = None,
    pretrainings: Sequence[Pretraining] = (),
    failures: Sequence[Failure] = (),
    published: Published | None = None,
    labelling: LabellingCost | None = None,
) -> tuple[list[str], list[Failure]]:
    """Read fine-tunings, diagnose them, draw what they predict, and write the report.

    Args:
        path: The HTML file; its folder is made. Beside it, as .csv, is a table of the runs.
        title: Its heading.
        folders, names, metric, rule: See :func:`hsjp_mm.comparison.runs.collect`.
        pretrainings: That the fine-tunings start from, as far as they were run.
        failures: Runs that are missing.
        published, labelling: See :func:`write_comparison`.

    Returns:
        What it shows, in lines for the screen, and all failures. Without a finished run there is no
        report, and the lines say so.

    Raises:
        ValueError: The runs cannot be compared, or ``path`` is that of the table.
    """
    require_page(path)
    runs, unfinished = collect(folders, names, metric, rule)
    failures = [*failures, *unfinished]
    if not runs:
        return ['no run is finished: no report'], failures
    path = Path(path)
    write_runs(path.with_suffix('.csv'), runs)
    errors, undiagnosed = diagnose_all(runs)
    bodies = bodies_of(runs) if predict_bodies(runs) else None
    poses, undrawn = ([], []) if bodies else poses_of(runs)
    write_comparison(
        path, title, runs, failures, errors, undiagnosed, pretrainings, poses, undrawn, bodies,
        published, labelling,
    )  # fmt: skip
    return [*conclusions(runs, pretrainings), f'report: {path}'], failures


def conclusions(runs: Sequence[FineTuning], pretrainings: Sequence[Pretraining]) -> list[str]:
    """Say what the report shows, in lines for the screen."""
    lines = [
        f'{one.name}, {label}: {value}' + (f' (by chance {chance})' if chance else '')
        for one in pretrainings
        for label, value, chance in one.rows()
    ]
    form = number_form(run.score for run in runs)
    lines += [
        f'{metric_name(runs)}{better_note(runs)}, {name}, {percent(share)} of the labels: '
        + Spread([run.score for run in group]).text(form).replace(DASH, '–')
        for (share, name), group in groups(runs).items()
    ]
    for share, sentences in verdicts(runs).items():
        lines += [f'{percent(share)} of the labels: {sentence}' for sentence in sentences]
    return [*lines, _spread(runs, pretrainings)]


def _spread(runs: Sequence[FineTuning], pretrainings: Sequence[Pretraining]) -> str:
    note = spread_note(runs)
    if not pretrainings:
        return note
    return f'{note} There is one pretraining each: its own spread is not shown.'


def write_comparison(
    path: str | Path,
    title: str,
    runs: Sequence[FineTuning],
    failures: Sequence[Failure] = (),
    errors: Mapping[str, dict] | None = None,
    undiagnosed: Mapping[str, str] | None = None,
    pretrainings: Sequence[Pretraining] = (),
    poses: Pictures | None = None,
    undrawn: Sequence[str] = (),
    bodies: Bodies | None = None,
    published: Published | None = None,
    labelling: LabellingCost | None = None,
) -> None:
    """Write the report; no other file and no network is needed to open it.

    Args:
        path: The HTML file.
        title: Its heading.
        runs: That can be compared, see :func:`hsjp_mm.comparison.runs.collect`.
        failures: Runs that are missing, which are told of.
        errors: By folder of a run, its diagnosis by ``diagnose``.
        undiagnosed: By folder, why there is none.
        pretrainings: That the fine-tunings start from.
        poses: Predicted ones, see :func:`hsjp_mm.comparison.gallery.poses_of`.
        undrawn: Why there are none of some.
        bodies: What is shown of mesh regressors, see
            :func:`hsjp_mm.comparison.meshes_of_runs.bodies_of`.
        published: Values of a paper, which get columns of their own.
        labelling: What labels the pretrainings needed, which is set against what they came to.

    Raises:
        ValueError: There is nothing to compare.
    """
    if not runs:
        raise ValueError('runs: none is finished, so there is nothing to compare')
    looks, errors = Looks(runs), errors or {}
    limits = limits_of(runs, (value for run in runs for _, value in run.curve))
    sections = [
        setting(runs, pretrainings),
        *_failed(failures),
        '<h2>What it shows</h2>',
        *_shown(runs, pretrainings, published),
        *_pretrained(pretrainings),
        _heading(f'{metric_name(runs)} against images seen'),
        panels(runs, partial(draw_curves, looks=looks, limits=limits)),
        *_by_labels(runs, looks),
        *_others(runs),
        *_labelled(runs, looks, labelling),
        *_diagnoses(runs, errors, undiagnosed or {}, looks),
        *_boards(pretrainings),
        *_gallery('Predicted poses', poses or [], undrawn),
        *_bodies(bodies or Bodies()),
        '<h2>What it cost</h2>',
        *costs(runs, pretrainings),
        '<h2>Where the weights came from</h2>',
        coverage(runs),
        '<h2>What was run</h2>',
        *provenance(runs, pretrainings),
    ]
    write_text(path, page(title, sections, STYLE))


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


def _shown(
    runs: Sequence[FineTuning],
    pretrainings: Sequence[Pretraining],
    published: Published | None = None,
) -> list[str]:
    looks, beside = Looks(runs), published.shares if published else []
    header = [f'{metric_name(runs)} at the end{better_note(runs)}']
    columns = [[looks.label(name) for name in looks.names]]
    for share in sorted({run.fraction for run in runs}):
        header.append(f'{percent(share)} of labels')
        columns.append([_scores(runs, name, share) for name in looks.names])
        if published and share in beside:
            header.append(f'published, {percent(share)}')
            columns.append([published.text(name, share) for name in looks.names])
    parts = [f'<div class="scroll">{table(header, list(zip(*columns, strict=True)))}</div>']
    ahead = leads(runs)
    for share, sentences in verdicts(runs).items():
        head = f'With {percent(share)} of the labels:'
        if len(sentences) <= MOST_LISTED:
            parts += _listed(head, sentences)
            continue
        parts += _listed(head, _summary(ahead[share], len(sentences)))
        folded = ''.join(_listed('', sentences))
        parts.append(
            f'<details><summary>each of the {len(sentences)} pairs</summary>{folded}</details>'
        )
    parts.append(_note(_spread(runs, pretrainings)))
    if len({run.budget for run in runs}) > 1:
        parts.append(
            _note(
                'Not all initialisations have the same budget: an order between those of different '
                'budgets is of both together, where they start and how long they are trained.'
            )
        )
    return [*parts, *_published(runs, published)]


def _summary(ahead: Sequence[tuple[str, str]], number: int) -> list[str]:
    """Who is ahead of whom, of more pairs than anyone reads."""
    lines = [f'{text}.' for text in written(ahead, 'is ahead of').split('; ') if text]
    return [*lines, f'Of {number - len(ahead)} of {number} pairs no order is shown.']


def _scores(runs: Sequence[FineTuning], name: str, share: float) -> str:
    """Of an initialisation with a share of the labels, all written alike."""
    scores = [run.score for run in runs if (run.init, run.fraction) == (name, share)]
    return Spread(scores).text(number_form(run.score for run in runs)) if scores else '–'


def _published(runs: Sequence[FineTuning], published: Published | None) -> list[str]:
    """What the published values were measured on, and whether their order is also ours."""
    if published is None:
        return []
    parts = [
        _note(
            f'Published: {published.measured_on}. They were measured on other data, so only the '
            'order of the initialisations can be compared, not the values.'
        )
    ]
    for share, sentences in sentences_on(published, runs).items():
        parts += _listed(f'Beside what is published, with {percent(share)} of labels:', sentences)
    return parts


def _listed(head: str, sentences: Sequence[str]) -> list[str]:
    """Sentences as a list, nothing of none."""
    items = ''.join(f'<li>{html.escape(sentence)}</li>' for sentence in sentences)
    above = f'<p>{html.escape(head)}</p>' if head else ''
    return [f'{above}<ul>{items}</ul>'] if items else []


def _others(runs: Sequence[FineTuning]) -> list[str]:
    """The best evaluation on the way, and the other measures at the end."""
    keys = list(dict.fromkeys(key for run in runs for key in run.others))
    name = with_unit(runs[0].metric)
    header = ['labels', 'from', f'{name}, end', f'{name}, best', *map(with_unit, keys)]
    rows = []
    for (share, init), group in groups(runs).items():
        columns = [
            [run.score for run in group],
            [run.best for run in group],
            *([run.others[key] for run in group if key in run.others] for key in keys),
        ]
        cells = [Spread(v).text(number_form(v)) if v else '–' for v in columns]
        rows.append([percent(share), init, *cells])
    return [
        '<h2>Other measures</h2>',
        f'<div class="scroll nowrap">{table(header, rows)}</div>',
        _note(
            'At the end of the budget, means over seeds with their range. The best '
            f'{metric_name(runs)} of all evaluations flatters: it is chosen by the data that it is '
            'measured on, and a run that is evaluated more often has more to choose from. The '
            'order above is by the end.'
        ),
    ]


def _pretrained(pretrainings: Sequence[Pretraining]) -> list[str]:
    """What each pretraining came to: measures beside chance, and curves."""
    if not pretrainings:
        return []
    parts = ['<h2>Pretraining</h2>']
    for one in pretrainings:
        parts.append(
            f'<h3>{html.escape(one.name)}</h3><p>{html.escape(one.model)}: '
            f'{one.iterations:,} iterations, {one.images:,} '
            f'images. Fine-tunings start from {html.escape(one.start)}.</p>'
        )
        if rows := one.rows():
            chance = any(row[2] for row in rows)
            header = ['', 'at the end', *(['by chance'] if chance else [])]
            cells = [row if chance else row[:2] for row in rows]
            parts.append(f'<div class="scroll">{table(header, cells)}</div>')
        parts.append(pretraining_figures(one))
    return parts


def _boards(pretrainings: Sequence[Pretraining]) -> list[str]:
    found = [boards_of(one) for one in pretrainings]
    boards = [board for pictures, _ in found for board in pictures]
    missing = [reason for _, reasons in found for reason in reasons]
    return _gallery('Boards of the validation set', boards, missing)


def _gallery(title: str, pictures: Pictures, undrawn: Sequence[str] = ()) -> list[str]:
    if not pictures and not undrawn:
        return []
    notes = map(_note, undrawn)
    return [_heading(title), *(_picture(*pair) for pair in pictures), *notes]


def _bodies(bodies: Bodies) -> list[str]:
    """Failures side by side, and where the parts look, as figures 5 and 6 of the study have them.

    These boards grow with the number of initialisations; they are as large as they are, and scroll.
    """
    if not bodies.bodies and not bodies.undrawn:
        return []
    parts = ['<h2>Predicted bodies of the hardest persons</h2>', _note(bodies.note)]
    parts += [_picture(*pair, natural=True) for pair in bodies.bodies]
    if bodies.attention:
        parts += [
            '<h2>Where the parts look</h2>',
            _note(
                'On the same persons, a row for each initialisation: the attention with which the '
                'rotation of a joint is read from the picture, each map relative to its own '
                'highest value. What turns with a joint is its part; of the elbow, the lower arm.'
            ),
            *(_picture(*pair, natural=True) for pair in bodies.attention),
        ]
    return [*parts, *map(_note, bodies.undrawn)]


def _heading(text: str) -> str:
    return f'<h2>{html.escape(text)}</h2>'


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>' if text else ''


def _picture(caption: str, image: np.ndarray, natural: bool = False) -> str:
    code = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    source = 'data:image/jpeg;base64,' + base64.b64encode(code).decode()
    text, style = html.escape(caption), 'wide natural' if natural else 'wide'
    return f'<p>{text}</p><div class="{style}"><img alt="{text}" src="{source}"></div>'


def _by_labels(runs: Sequence[FineTuning], looks: Looks) -> list[str]:
    shares = sorted({run.fraction for run in runs})
    if len(shares) == 1:
        return []
    drawn = figure(
        f'{metric_name(runs)} at the end by share of the labels; a dot for each seed',
        lambda axes: draw_labels(axes, runs, looks),
    )
    return [_heading(f'{metric_name(runs)} against share of the labels'), grid([drawn])]


def _labelled(
    runs: Sequence[FineTuning], looks: Looks, labelling: LabellingCost | None
) -> list[str]:
    """What the labels of the pretrainings cost, against what the fine-tunings came to."""
    if labelling is None:
        return []
    shares = sorted({run.fraction for run in runs})
    rows = []
    for name in looks.names:
        cells = [_scores(runs, name, share) for share in shares]
        rows.append([looks.label(name), labelling.labels(name), labelling.time(name), *cells])
    header = ['from', 'labelled for it', 'seconds of labelling']
    header += [f'{metric_name(runs)}, {percent(share)} of labels' for share in shares]
    known = {name: seconds for name in looks.names
             if (seconds := labelling.total(name)) is not None}  # fmt: skip
    drawn = [run for run in runs if run.init in known]
    limits = limits_of(runs, (run.score for run in runs))
    draw = partial(draw_costs, seconds=known, looks=looks, limits=limits)
    return [
        _heading(f'{metric_name(runs)} against the cost of labels'),
        f'<div class="scroll">{table(header, rows)}</div>',
        panels(drawn, draw) if len(set(known.values())) > 1 else '',
        *map(_note, labelling.notes(looks.names)),
    ]


def _diagnoses(
    runs: Sequence[FineTuning],
    errors: Mapping[str, dict],
    undiagnosed: Mapping[str, str],
    looks: Looks,
) -> list[str]:
    known = [run for run in runs if run.folder in errors]
    notes = [
        f'<p class="note">{_whose(number, len(runs))} no diagnosis of errors: '
        f'{html.escape(reason)}.</p>'
        for reason, number in Counter(undiagnosed.values()).items()
    ]
    if not known:
        return ['<h2>Kinds of error</h2>', *notes] if notes else []
    limits = limits_of_shares(y for run in known for y in errors[run.folder]['AP_by_oks'])
    return [
        '<h2>AP by OKS threshold</h2>',
        '<p class="note">How exact the keypoints are: at 0.5 a rough place is enough, at 0.95 '
        'hardly any deviation is forgiven.</p>',
        panels(known, partial(draw_thresholds, errors=errors, looks=looks, limits=limits)),
        '<h2>Kinds of error</h2>',
        '<p class="note">Of the keypoints of the persons found, after Ronchi and Perona (ICCV '
        '2017): good; jitter, near the right place; inversion, on the person’s other side; swap, '
        'on another person; miss, nowhere near. Means over seeds, with their range.</p>',
        panels(known, partial(draw_kinds, errors=errors, looks=looks)),
        '<p class="note">AP that correcting all keypoints of a kind, and no others, would add; '
        'means over seeds:</p>',
        f'<div class="scroll nowrap">{_gains(known, errors)}</div>',
        *notes,
    ]


def _whose(number: int, of: int) -> str:
    return 'There is' if number == of else f'Of {number} of {of} runs there is'


def _gains(runs: Sequence[FineTuning], errors: Mapping[str, dict]) -> str:
    rows = []
    for (share, name), group in groups(runs).items():
        means = [
            np.mean([errors[run.folder]['AP_gain'][kind] for run in group])
            for kind in (*ERRORS, 'all')
        ]
        rows.append([percent(share), name, *(f'{mean:+.3f}' for mean in means)])
    return table(['labels', 'from', *ERRORS, 'all four'], rows)
