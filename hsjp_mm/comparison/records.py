"""What the report tells of each run: what it cost, what it loaded, and how it was run."""

import html
from collections.abc import Sequence
from pathlib import Path

from hsjp_mm.comparison.figures import metric_name
from hsjp_mm.comparison.fine_tuning_config import sha256_of
from hsjp_mm.comparison.pretrainings import Pretraining
from hsjp_mm.comparison.runs import FineTuning, number_form, percent
from hsjp_mm.comparison.verdicts import Spread, groups
from hsjp_mm.visualization.page import table


def setting(runs: Sequence[FineTuning], pretrainings: Sequence[Pretraining]) -> str:
    """What was compared, and under which budget."""
    one = runs[0]
    names = list(dict.fromkeys(run.init for run in runs))
    longer = {run.init: run.budget for run in runs if run.budget > 1}
    sentences = [
        f'The same fine-tuning from {_several(len(names), "initialisation")} ({_join(names)}), on '
        f'{_labels(runs)}, {_seeds(runs)}: {_several(len(runs), "run")}.',
        'All have the same budget, whatever the share of the labels: '
        f'{one.iterations // one.budget:,} iterations, in which {one.images // one.budget:,} '
        'images (in top-down models, crops of persons) are seen; with few labels, the same ones '
        'more often.',
        *(
            f'Except {name}, which has {times} times this budget, its schedule stretched.'
            for name, times in longer.items()
        ),
        'A seed draws what is not loaded, the order of the images, and which labels are used: all '
        'initialisations get the same ones.',
    ]
    if not pretrainings:
        sentences.append('What the pretraining itself cost is not in it.')
    return f'<p>{html.escape(" ".join(sentences))}</p>'


def _several(number: int, word: str) -> str:
    return f'{number} {word}' if number == 1 else f'{number} {word}s'


def _join(words: Sequence[str]) -> str:
    return ' and '.join([', '.join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _labels(runs: Sequence[FineTuning]) -> str:
    """The shares of the labels, and the part of the data that the config itself takes."""
    shares = [percent(share) for share in sorted({run.fraction for run in runs})]
    loader = runs[0].protocol.get('train_dataloader', {})
    only = loader.get('dataset', {}).get('indices')
    note = f' (of those that its config takes, indices={only})' if only else ''
    return f'{_join(shares)} of the labels{note}'


def _seeds(runs: Sequence[FineTuning]) -> str:
    seeds = [str(seed) for seed in sorted({run.seed for run in runs})]
    return f'{"seed" if len(seeds) == 1 else "seeds"} {_join(seeds)}'


def costs(runs: Sequence[FineTuning], pretrainings: Sequence[Pretraining]) -> list[str]:
    """Time, images and memory of each initialisation."""
    header = [
        'labels',
        'from',
        'runs',
        'seconds (wall clock)',
        'images seen',
        'memory, MiB',
        'GPU, MiB',
    ]
    rows = [
        [
            '–',
            f'pretraining of {one.name}',
            '1',
            f'{one.seconds:,.0f}',
            f'{one.images:,}',
            _memory([one.host_memory]),
            _memory([one.gpu_memory]),
        ]
        for one in pretrainings
    ]
    rows += [
        [
            percent(share),
            name,
            str(len(group)),
            Spread([run.seconds for run in group]).text(',.0f'),
            f'{group[0].images:,}',
            _memory([run.host_memory for run in group]),
            _memory([run.gpu_memory for run in group]),
        ]
        for (share, name), group in groups(runs).items()
    ]
    return [
        f'<div class="scroll nowrap">{table(header, rows)}</div>',
        '<p class="note">Seconds are those of the log, evaluations and resumed attempts included: '
        'means, with the range over seeds. They are comparable only if nothing shared the machine: '
        'runs beside each other (--jobs), and other work, lengthen them. Memory is the peak of the '
        'largest process.</p>',
    ]


def _memory(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f'{max(known):,.0f}' if known else '–'


def coverage(runs: Sequence[FineTuning]) -> str:
    """What was loaded of each initialisation."""
    lines = dict.fromkeys((run.init, run.coverage) for run in runs)
    items = ''.join(
        f'<li><strong>{html.escape(name)}</strong>: <code>{html.escape(line)}</code></li>'
        for name, line in lines
    )
    return f'<ul>{items}</ul>'


def provenance(runs: Sequence[FineTuning], pretrainings: Sequence[Pretraining]) -> list[str]:
    """Versions, commands and hashes of all runs."""
    own = [*map(_versions, pretrainings), *map(_versions, runs)]
    versions = list(dict.fromkeys(own))
    parts = [f'<p>Versions: {html.escape(text)}</p>' for text in versions]
    if len(versions) > 1:
        parts.insert(0, '<p><strong>Not all runs were made with the same versions.</strong></p>')
    protocol = sha256_of(runs[0].protocol)
    parts.append(
        '<p>All runs share one protocol, the config without initialisation, seed and share of the '
        f'labels; SHA-256 <code>{protocol}</code></p>'
    )
    return [*parts, *map(_record_of_pretraining, pretrainings), *map(_record, runs)]


def _versions(run: FineTuning | Pretraining) -> str:
    known = [f'{name} {version}' for name, version in run.versions.items()]
    return ', '.join(known) or 'not recorded'


def _record(run: FineTuning) -> str:
    summary = (
        f'{run.init}, {percent(run.fraction)} of the labels, seed {run.seed}: '
        f'{metric_name([run])} {run.score:{number_form([run.score])}}'
    )
    return _folded(summary, run, [f'labels: {run.labels}'] if run.labels else [])


def _record_of_pretraining(run: Pretraining) -> str:
    start = f'sha256 {run.sha256}  {Path(run.checkpoint).name}, which fine-tunings start from'
    return _folded(f'{run.name}, pretraining, seed {run.seed}', run, [start])


def _folded(summary: str, run: FineTuning | Pretraining, more: Sequence[str]) -> str:
    """Commands and hashes of a run, folded."""
    lines = run.commands or ['command not recorded; read from the work folder']
    hashes = [f'sha256 {digest}  {name}' for name, digest in run.hashes.items()]
    text = html.escape('\n'.join([*lines, *hashes, *more]))
    return (
        f'<details><summary>{html.escape(summary)}</summary><p><code>{html.escape(run.folder)}'
        f'</code></p><pre>{text}</pre></details>'
    )
