"""What a study came to: one page over the reports of its fine-tunings."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from hsjp_mm.comparison.figures import with_unit
from hsjp_mm.comparison.logs import Failure
from hsjp_mm.comparison.pretrainings import Pretraining
from hsjp_mm.comparison.runs import FineTuning, number_form, percent
from hsjp_mm.comparison.verdicts import Spread, groups
from hsjp_mm.utils.files import write_text
from hsjp_mm.visualization.page import page, table

STYLE = '.scroll { overflow-x: auto; } td { font-variant-numeric: tabular-nums; }'


def write_study(
    path: str | Path,
    title: str,
    runs: Mapping[str, Sequence[FineTuning]],
    reports: Mapping[str, str],
    pretrainings: Sequence[Pretraining] = (),
    failures: Sequence[Failure] = (),
) -> None:
    """Write the page; it needs no other file, and leads to the reports beside it.

    Args:
        path: The HTML file.
        title: Its heading.
        runs: The finished fine-tunings by name of the network.
        reports: The report of each, seen from the folder of ``path``.
        pretrainings: That they start from.
        failures: Runs that are missing.
    """
    links = ''.join(
        f'<li><a href="{html.escape(link)}">{html.escape(name)}</a></li>'
        for name, link in reports.items()
    )
    sections = [
        *_failed(failures),
        '<h2>What the starts came to</h2>',
        f'<div class="scroll">{_scores(runs)}</div>',
        '<p>Means at the end of the budget, with the range over seeds where there are several. '
        'Which differences the seeds bear out, curves, pictures and costs are in the reports:</p>',
        f'<ul>{links}</ul>',
        *_pretrainings(pretrainings),
    ]
    write_text(path, page(title, sections, STYLE))


def _failed(failures: Sequence[Failure]) -> list[str]:
    if not failures:
        return []
    items = ''.join(f'<li>{html.escape(f"{f.title}: {f.reason}")}</li>' for f in failures)
    return [f'<p><strong>Missing in all that follows:</strong></p><ul>{items}</ul>']


def _scores(runs: Mapping[str, Sequence[FineTuning]]) -> str:
    """Starts in rows, networks and shares of the labels in columns."""
    found = {name: groups(of_one) for name, of_one in runs.items()}
    columns = [
        (name, share) for name in runs for share in sorted({share for share, _ in found[name]})
    ]
    starts = list(dict.fromkeys(run.init for of_one in runs.values() for run in of_one))
    header = [
        'from',
        *(
            f'{name}, {percent(share)} of the labels: {with_unit(runs[name][0].metric)}'
            for name, share in columns
        ),
    ]
    rows = [
        [start, *(_mean(found[name].get((share, start), [])) for name, share in columns)]
        for start in starts
    ]
    return table(header, rows)


def _mean(group: Sequence[FineTuning]) -> str:
    if not group:
        return '–'
    scores = [run.score for run in group]
    return Spread(scores).text(number_form(scores))


def _pretrainings(pretrainings: Sequence[Pretraining]) -> list[str]:
    if not pretrainings:
        return []
    rows = [
        [one.name, one.model, one.summary, f'{one.images:,}', f'{one.seconds / 3600:.2f}']
        for one in pretrainings
    ]
    header = ['pretraining', 'model', 'came to', 'images seen', 'hours (wall clock)']
    return ['<h2>The pretrainings</h2>', f'<div class="scroll">{table(header, rows)}</div>']
