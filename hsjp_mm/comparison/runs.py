"""Read fine-tunings of several initialisations from their work folders.

All is plain data: what a run came to is read from what MMEngine leaves in any work folder, and,
where ``hsjp_mm.comparison.execution`` ran it, from the ``result.json`` beside.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hsjp_mm.analysis.keypoint_errors import diagnose
from hsjp_mm.comparison.budgets import budget_of
from hsjp_mm.comparison.fine_tuning_config import (
    checkpoint_of,
    differences,
    evaluators_of,
    fraction_of,
    protocol_of,
    rule_of,
    whole_checkpoint_of,
)
from hsjp_mm.comparison.logs import (
    Failure,
    Logged,
    UnfinishedError,
    end_of_log,
    first,
    last_config,
    read_logged,
    reason_of,
)
from hsjp_mm.registry import DATASETS
from hsjp_mm.utils.files import file_sha256, read_json, write_json

RESULT = 'result.json'
PREDICTIONS = 'predictions.keypoints.json'
NO_MEASURES = ('step', 'time', 'data_time')
"""What MMEngine logs of an evaluation besides its measures."""
COVERAGE = re.compile(r' - (\S+: [\d,]+ of [\d,]+ tensors, .*)$', re.MULTILINE)
LABELS = re.compile(r'LabelSubset: (.*) of \S+$', re.MULTILINE)


@dataclass(frozen=True)
class FineTuning:
    """What a fine-tuning came to.

    Attributes:
        init: Name of the initialisation.
        fraction: Of the labels, in (0, 1].
        seed: Of the run, and of the choice of labels.
        folder: Its work folder.
        metric: Key of the measure, such as 'coco/AP'.
        rule: What is better of it, 'greater' or 'less'.
        curve: Images seen and the measure, of each evaluation; the last is that of the end.
        iterations: In all.
        seconds: From the first to the last line of the log, summed over attempts.
        coverage: The line of how much of a checkpoint was loaded.
        labels: The line of how many labels were used; '' for all.
        protocol: See above, plain values.
        host_memory: Peak of the largest process in MiB, if known.
        gpu_memory: Peak that was logged in MiB, if there was a GPU.
        commands: What was run, one line an attempt; empty if not recorded.
        hashes: SHA-256 by what they are of.
        versions: Of the packages.
        others: What the evaluation at the end measured besides, by key.
        budget: How many times as long as the protocol says it was trained.
    """

    init: str
    fraction: float
    seed: int
    folder: str
    metric: str
    rule: str
    curve: list[tuple[int, float]]
    iterations: int
    seconds: float
    coverage: str
    labels: str
    protocol: dict[str, Any]
    host_memory: float | None = None
    gpu_memory: float | None = None
    commands: list[str] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)
    budget: int = 1

    @property
    def images(self) -> int:
        """Images seen in training, with repetition."""
        return self.curve[-1][0]

    @property
    def score(self) -> float:
        """The measure at the end of the budget, not the best one on the way."""
        return self.curve[-1][1]

    @property
    def best(self) -> float:
        """The best of all evaluations, which is chosen by the data that it is measured on."""
        values = [value for _, value in self.curve if math.isfinite(value)]
        return max(values) if self.rule == 'greater' else min(values)

    @property
    def summary(self) -> str:
        """What it came to, in a line."""
        return f'{self.metric} {self.score:{number_form([self.score])}}'


def number_form(values: Iterable[float]) -> str:
    """How to write numbers of such a size: shares with three digits, millimetres with one."""
    highest = max(map(abs, values))
    return '.3f' if highest < 10 else '.2f' if highest < 50 else '.1f'


def percent(fraction: float) -> str:
    """Write a share for readers."""
    return f'{100 * fraction:.10g} %'


def read_run(
    folder: str | Path,
    name: str | None = None,
    metric: str = 'coco/AP',
    rule: str | None = None,
) -> FineTuning:
    """Read a finished run from its work folder.

    Args:
        folder: Written by MMEngine's Runner.
        name: Of the initialisation. By default that of result.json, else 'scratch' where the
            backbone loads no checkpoint, else the name of the checkpoint file.
        metric: Key of the measure in the evaluations. Of one that was not followed in the run the
            logs tell.
        rule: What is better of it, 'greater' or 'less'; by default see :func:`rule_of`.

    Raises:
        FileNotFoundError: The folder holds no run.
        UnfinishedError: The run has no evaluation at its end, or it came to no number.
        ValueError: The run does not say what is needed, or its last evaluation has another measure.
    """
    folder = Path(folder)
    if (folder / RESULT).is_file():
        return _from_result(folder, name, metric, rule)
    logged = read_logged(folder)
    curve = _curve(logged, metric)
    if logged.seed is None:
        raise ValueError(f'{folder}: neither the config nor the log says the seed')
    return FineTuning(
        init=name or _name_of(logged.config),
        fraction=fraction_of(logged.config),
        seed=logged.seed,
        folder=str(folder),
        metric=metric,
        rule=rule_of(logged.config, metric, rule),
        curve=curve,
        iterations=logged.end,
        seconds=logged.seconds,
        coverage=_coverage(logged.config, logged.text),
        labels='; '.join(dict.fromkeys(LABELS.findall(logged.text))),
        protocol=protocol_of(logged.config),
        gpu_memory=logged.gpu_memory,
        others=_others(logged.val[-1], metric),
        budget=budget_of(logged.config),
    )


def _curve(logged: Logged, metric: str) -> list[tuple[int, float]]:
    """Images seen and the measure, of each evaluation of a finished run."""
    curve = {line['step']: line[metric] for line in logged.val if metric in line}
    if logged.end not in curve:
        _require_measured(logged, metric)
        reached = f'evaluated at {max(curve)}' if curve else f'no {metric} yet'
        raise UnfinishedError(f'{logged.folder}: {reached} of {logged.end} iterations')
    if not math.isfinite(curve[logged.end]):
        raise UnfinishedError(f'{logged.folder}: {metric} is {curve[logged.end]} at the end')
    return [(step * logged.batch, value) for step, value in sorted(curve.items())]


def _require_measured(logged: Logged, metric: str) -> None:
    """Tell a measure that a run does not have from an evaluation that it has not come to."""
    last = logged.val[-1] if logged.val else {}
    measures = [key for key in last if key not in NO_MEASURES]
    if measures and last['step'] == logged.end:
        raise ValueError(
            f'metric={metric!r} is not among the measures that {logged.folder} logged at its end: '
            f'{", ".join(measures)}'
        )


def _others(line: Mapping[str, Any], metric: str) -> dict[str, float]:
    """The other measures of an evaluation."""
    return {
        key: float(value)
        for key, value in line.items()
        if key not in (metric, *NO_MEASURES)
        and isinstance(value, int | float)
        and math.isfinite(value)
    }


def _from_result(folder: Path, name: str | None, metric: str, rule: str | None) -> FineTuning:
    path = folder / RESULT
    values = read_json(path, 'result')
    if not isinstance(values, dict) or 'metric' not in values:
        raise ValueError(f'{path} is not the result of a fine-tuning')
    values.pop('recipe', None)
    if values['metric'] != metric:
        values = {**values, **_measured_besides(folder, metric, values['metric'])}
        values.pop('rule', None)
    if rule or 'rule' not in values:  # version 0.1 did not record it
        try:
            config = last_config(folder)
        except FileNotFoundError:
            config = Config()
        values['rule'] = rule_of(config, metric, rule)
    if name:
        values['init'] = name
    try:
        values.update(folder=str(folder), curve=[tuple(point) for point in values['curve']])
        return FineTuning(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{path} was written by another version of hsjp_mm ({error}); put it aside, and the '
            'run is read from its logs'
        ) from error


def _measured_besides(folder: Path, metric: str, recorded: str) -> dict[str, Any]:
    """What the logs of a run tell of another measure than the one that its result records."""
    try:
        logged = read_logged(folder)
    except FileNotFoundError as error:
        raise ValueError(
            f'metric={metric!r}, but {folder} was run for {recorded!r}, and its logs, which would '
            'tell the other, are gone; ask for that'
        ) from error
    curve = _curve(logged, metric)
    return {'metric': metric, 'curve': curve, 'others': _others(logged.val[-1], metric)}


def _name_of(config: Config) -> str:
    checkpoint = whole_checkpoint_of(config) or checkpoint_of(config)
    return Path(checkpoint).stem if checkpoint else 'scratch'


def _coverage(config: Config, log: str) -> str:
    if whole := whole_checkpoint_of(config):
        return f'the whole model: {whole}; MMEngine loads it without checking that all fits'
    if line := first(COVERAGE, log, ''):
        return line
    if not checkpoint_of(config):
        return 'backbone: random weights'
    return 'backbone: not recorded; stock initialisers load without checking that all fits'


def require_comparable(runs: Sequence[FineTuning]) -> None:
    """Refuse runs that differ in more than initialisation, seed and share of the labels.

    Raises:
        ValueError: Another protocol or budget, or two runs of the same three.
    """
    seen: dict[tuple, FineTuning] = {}
    for run in runs:
        key = run.init, run.fraction, run.seed
        if key in seen:
            raise ValueError(
                f'{run.folder} and {seen[key].folder} are both {run.init} with '
                f'{run.fraction:g} of the labels and seed {run.seed}; name one NAME=FOLDER'
            )
        seen[key] = run
        found = list(differences(runs[0].protocol, run.protocol))
        if found:
            raise ValueError(
                f'{run.folder} was trained by another recipe than {runs[0].folder}: '
                + '; '.join(found[:8])
            )
        if run.images * runs[0].budget != runs[0].images * run.budget:
            raise ValueError(
                f'{run.folder} has seen {run.images} images, {runs[0].folder} {runs[0].images}: '
                'not the same budget'
            )
        if run.budget != (same := next(r for r in runs if r.init == run.init)).budget:
            raise ValueError(
                f'{run.folder} has {run.budget} times the usual budget, {same.folder} '
                f'{same.budget} times, and both are {run.init}; name one NAME=FOLDER'
            )
        if run.rule != runs[0].rule:
            raise ValueError(
                f'{run.folder} takes the {run.rule} {run.metric} for the better one, '
                f'{runs[0].folder} the {runs[0].rule}; say which by `rule`'
            )


def parse_collected(text: str) -> tuple[str, str]:
    """Read ``FOLDER`` or ``NAME=FOLDER``: name, '' if none is given, and folder.

    A folder may have a = in it, also without a name if a / comes before that.

    Raises:
        ValueError: No folder, or no name before the =.
    """
    name, sign, folder = text.partition('=')
    if not sign or '/' in name:
        name, folder = '', text
    elif not name:
        folder = ''
    if not folder:
        raise ValueError(f'collect={text!r} must be FOLDER or NAME=FOLDER')
    return name, folder


def collect(
    folders: Iterable[str | Path],
    names: Mapping[str, str] | None = None,
    metric: str = 'coco/AP',
    rule: str | None = None,
) -> tuple[list[FineTuning], list[Failure]]:
    """Read runs from work folders.

    Args:
        folders: Of finished runs, and of others, which are told of.
        names: Of the initialisation by folder, see :func:`read_run`.
        metric: Key of the measure.
        rule: What is better of it, see :func:`read_run`.

    Returns:
        The finished runs, sorted by share of the labels, and the others.

    Raises:
        FileNotFoundError: A folder that holds no run.
        ValueError: Runs that cannot be compared.
    """
    runs, unfinished = [], []
    named = {Path(folder): name for folder, name in (names or {}).items()}
    for folder in folders:
        try:
            runs.append(read_run(folder, named.get(Path(folder)), metric, rule))
        except UnfinishedError as error:
            unfinished.append(Failure(str(folder), str(folder), str(error), end_of_log(folder)))
    require_comparable(runs)
    return sorted(runs, key=lambda run: run.fraction), unfinished


def diagnose_run(run: FineTuning) -> dict:
    """Break down the errors of a run's last predictions, or read what was found before.

    Returns:
        What :func:`hsjp_mm.analysis.keypoint_errors.diagnose` returns.

    Raises:
        FileNotFoundError: The run kept no predictions, or its annotations are gone.
        ValueError: They cannot be diagnosed.
    """
    folder = Path(run.folder)
    predictions, kept = folder / PREDICTIONS, folder / 'errors.json'
    evaluators = evaluators_of(run.protocol)
    evaluator = next((e for e in evaluators if 'CocoMetric' in e['type']), None)
    if evaluator is None:
        types = ', '.join(e['type'] for e in evaluators)
        raise ValueError(
            'they are found in the predictions that CocoMetric keeps, and the evaluation is by '
            f'{types}'
        )
    if not predictions.is_file():
        raise FileNotFoundError(f'no predictions were kept ({PREDICTIONS} in the work folder)')
    digest = file_sha256(predictions)
    if kept.is_file():
        found = read_json(kept, 'errors')
        if found['predictions_sha256'] == digest:
            return found['errors']
    annotations = evaluator.get('ann_file') or folder / 'predictions.gt.json'
    errors = diagnose(
        annotations,
        predictions,
        _keypoint_set(run.protocol['val_dataloader']['dataset']),
        iou_type=evaluator.get('iou_type', 'keypoints'),
        use_area=evaluator.get('use_area', True),
    )
    write_json(kept, {'predictions_sha256': digest, 'errors': errors})
    return errors


def _keypoint_set(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the config of a data set says of its keypoints, or else what its class does."""
    cls = DATASETS.get(str(dataset.get('type')))
    metainfo = dataset.get('metainfo') or getattr(cls, 'METAINFO', None)
    if not metainfo:
        raise ValueError(
            f'val_dataloader.dataset: neither metainfo nor the class {dataset.get("type")!r}, as '
            'far as it is known here, tells the keypoints'
        )
    return metainfo


def diagnose_all(runs: Iterable[FineTuning]) -> tuple[dict[str, dict], dict[str, str]]:
    """Diagnose runs: what was found, and why nothing could be, each by folder."""
    found, reasons = {}, {}
    for run in runs:
        try:
            found[run.folder] = diagnose_run(run)
        except Exception as error:  # what is damaged raises almost anything
            reasons[run.folder] = reason_of(error)
    return found, reasons


def to_result(run: FineTuning, recipe: dict) -> dict[str, Any]:
    """What result.json holds."""
    return {**asdict(run), 'recipe': recipe}
