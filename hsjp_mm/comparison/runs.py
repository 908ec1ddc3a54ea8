"""Read fine-tunings of several initialisations from their work folders, and compare them.

All is plain data: what a run came to is read from what MMEngine leaves in any work folder (the
config, the scalars and the log), and, where ``hsjp_mm.comparison.execution`` ran it, from the
``result.json`` beside. A *protocol* is what must be equal for a comparison to be fair: the config
without its initialisation, its seed and its share of the labels.
"""

import copy
import hashlib
import itertools
import json
import math
import re
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hsjp_mm.analysis.keypoint_errors import METAINFO, diagnose
from hsjp_mm.comparison.fine_tuning_config import rule_of
from hsjp_mm.utils.files import file_sha256

RESULT, LOG = 'result.json', 'train.log'
PREDICTIONS = 'predictions.keypoints.json'
PROTOCOL = (
    'model', 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr',
    'custom_hooks', 'load_from', 'randomness', 'val_dataloader', 'val_cfg', 'val_evaluator',
)  # fmt: skip
"""What of a config decides on the result; the rest is about logs and files."""
STAMP = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ', re.MULTILINE)
COVERAGE = re.compile(r' - (\S+: [\d,]+ of [\d,]+ tensors, .*)$', re.MULTILINE)
LABELS = re.compile(r'LabelSubset: (.*) of \S+$', re.MULTILINE)
EPOCH = re.compile(r'Epoch\(train\)\s+\[\s*\d+\]\[\s*\d+/(\d+)\]')
SEED = re.compile(r'^\s+seed: (\d+)$', re.MULTILINE)
PROCESSES = re.compile(r'^\s+GPU number: (\d+)$', re.MULTILINE)
FEWEST_SEEDS = 3
"""From which on an order of initialisations is given."""


class UnfinishedError(ValueError):
    """A work folder whose run has not come to its end."""


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

    @property
    def images(self) -> int:
        """Images seen in training, with repetition."""
        return self.curve[-1][0]

    @property
    def score(self) -> float:
        """The measure at the end of the budget, not the best one on the way."""
        return self.curve[-1][1]


@dataclass(frozen=True)
class Failure:
    """A run that is not finished.

    Attributes:
        title: Of the run.
        folder: Its work folder.
        reason: In a line.
        log: The end of what it printed.
    """

    title: str
    folder: str
    reason: str
    log: str


def end_of_log(folder: str | Path, lines: int = 20) -> str:
    """Read the last lines of what a run printed, or logged where that was not kept."""
    logs = [*sorted(Path(folder).glob('*/*.log')), Path(folder, LOG)]
    last = [log for log in logs if log.is_file()][-1:]
    texts = (log.read_text(encoding='utf-8', errors='replace') for log in last)
    return '\n'.join(line for text in texts for line in text.splitlines()[-lines:])


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
        metric: Key of the measure in the evaluations.
        rule: What is better of it, 'greater' or 'less'; by default see :func:`rule_of`.

    Raises:
        FileNotFoundError: The folder holds no run.
        UnfinishedError: The run has no evaluation at its end, or it came to no number.
        ValueError: The run does not say what is needed.
    """
    folder = Path(folder)
    if (folder / RESULT).is_file():
        return _from_result(folder, name, metric, rule)
    logs = sorted(folder.glob('*/*.log'))
    configs = sorted(folder.glob('*/vis_data/config.py'))
    if not logs or not configs:
        raise FileNotFoundError(f'{folder} holds no run (*/*.log, */vis_data/config.py)')
    config = Config.fromfile(configs[-1])
    texts = [log.read_text(encoding='utf-8', errors='replace') for log in logs]
    text = ''.join(texts)
    train, curve = _merge_scalars(sorted(folder.glob('*/vis_data/scalars.json')), metric)
    per_epoch = _one(EPOCH, text, '0')
    last, unit = _budget(config, int(per_epoch), folder)
    if not curve or max(curve) != last:
        reached = f'evaluated at {max(curve)}' if curve else f'no {metric} yet'
        raise UnfinishedError(f'{folder}: {reached} of {last}')
    if not math.isfinite(curve[last]):
        raise UnfinishedError(f'{folder}: {metric} is {curve[last]} at the end')
    batch = config.train_dataloader.batch_size * int(_one(PROCESSES, text, '1'))
    seed = config.get('randomness', {}).get('seed')
    if seed is None and not (seed := _one(SEED, text, '')):
        raise ValueError(f'{folder}: neither the config nor the log says the seed')
    memory = [line['memory'] for line in train if 'memory' in line]
    return FineTuning(
        init=name or _name_of(config),
        fraction=fraction_of(config),
        seed=int(seed),
        folder=str(folder),
        metric=metric,
        rule=rule_of(config, metric, rule),
        curve=[(step * unit * batch, curve[step]) for step in sorted(curve)],
        iterations=last * unit,
        seconds=sum(map(_seconds, texts)),
        coverage=_coverage(config, text),
        labels=_one(LABELS, text, ''),
        protocol=protocol_of(config),
        gpu_memory=max(memory, default=None),
    )


def _from_result(folder: Path, name: str | None, metric: str, rule: str | None) -> FineTuning:
    path = folder / RESULT
    values = json.loads(path.read_text(encoding='utf-8'))
    if values['metric'] != metric:
        raise ValueError(
            f'metric={metric!r}, but {folder} was run for {values["metric"]!r}; ask for that'
        )
    values.pop('recipe')
    values.update(folder=str(folder), curve=[tuple(point) for point in values['curve']])
    if rule or 'rule' not in values:  # version 0.1 did not record it
        configs = sorted(folder.glob('*/vis_data/config.py'))
        config = Config.fromfile(configs[-1]) if configs else Config()
        values['rule'] = rule_of(config, metric, rule)
    if name:
        values['init'] = name
    try:
        return FineTuning(**values)
    except TypeError as error:
        raise ValueError(f'{path} is of another version of hsjp_mm: {error}') from error


def _merge_scalars(files: Sequence[Path], metric: str) -> tuple[list[dict], dict[int, float]]:
    """Training lines, and the measure by step; of a step evaluated again, the later one counts."""
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    curve = {line['step']: line[metric] for line in lines if metric in line}
    return [line for line in lines if 'loss' in line], curve


def _budget(config: Config, per_epoch: int, folder: Path) -> tuple[int, int]:
    """The step of the last evaluation, and the iterations of a step."""
    if by_epoch(config):
        logged = config.get('default_hooks', {}).get('logger', {}).get('log_metric_by_epoch', True)
        if not per_epoch:
            raise ValueError(f'{folder}: the log does not say how many iterations an epoch has')
        last = config.train_cfg.max_epochs
        return (last, per_epoch) if logged else (last * per_epoch, 1)
    if config.default_hooks.logger.get('log_metric_by_epoch', True):
        raise ValueError(
            f'{folder} counts iterations but logs evaluations by epoch; run it with '
            'default_hooks.logger.log_metric_by_epoch=False'
        )
    return config.train_cfg.max_iters, 1


def by_epoch(config: Config) -> bool:
    """Whether the training loop counts epochs."""
    loop = config.train_cfg.get('type', '')
    return 'EpochBased' in loop or (not loop and config.train_cfg.get('by_epoch', True))


def _one(pattern: re.Pattern, text: str, default: str) -> str:
    match = pattern.search(text)
    return match[1] if match else default


def _seconds(log: str) -> float:
    stamps = STAMP.findall(log)
    first, last = (time.strptime(stamps[i], '%Y/%m/%d %H:%M:%S') for i in (0, -1))
    return time.mktime(last) - time.mktime(first)


def checkpoint_of(config: Config) -> str | None:
    """The checkpoint that the backbone of a config is to load, which may be still empty."""
    init_cfg = config.model.backbone.get('init_cfg') or []
    cfgs = init_cfg if isinstance(init_cfg, list) else [init_cfg]
    return next((cfg['checkpoint'] for cfg in cfgs if 'checkpoint' in cfg), None)


def _name_of(config: Config) -> str:
    checkpoint = checkpoint_of(config)
    return Path(checkpoint).stem if checkpoint else 'scratch'


def _coverage(config: Config, log: str) -> str:
    if line := _one(COVERAGE, log, ''):
        return line
    if not checkpoint_of(config):
        return 'backbone: random weights'
    return 'backbone: not recorded; stock initialisers load without checking that all fits'


def fraction_of(config: Config) -> float:
    """The share of the labels that a config trains on.

    Raises:
        ValueError: It is given as a number.
    """
    dataset = config.train_dataloader.dataset
    if not _is_subset(dataset):
        return 1.0
    if dataset.get('fraction') is None:
        raise ValueError('runs are compared by fraction of the labels, this one has a number')
    return dataset.fraction


def _is_subset(dataset: Mapping) -> bool:
    return str(dataset.get('type', '')).endswith('LabelSubset')


def protocol_of(config: Config) -> dict[str, Any]:
    """The protocol of a config, plain values."""
    values = {key: copy.deepcopy(config[key]) for key in PROTOCOL if config.get(key) is not None}
    if config.get('resume'):  # it names the checkpoint to go on from
        values.pop('load_from', None)
    values['model'].get('backbone', {}).pop('init_cfg', None)
    values.get('randomness', {}).pop('seed', None)
    loader = values['train_dataloader']
    if _is_subset(loader['dataset']):
        loader['dataset'] = loader['dataset']['dataset']
    for evaluator in evaluators_of(values):
        evaluator.pop('outfile_prefix', None)
    return plain({key: value for key, value in values.items() if value != {}})


def evaluators_of(config: Mapping) -> list[dict]:
    """The metrics of the evaluation."""
    evaluators = config.get('val_evaluator') or []
    return list(evaluators) if isinstance(evaluators, (list, tuple)) else [evaluators]


def plain(value: Any) -> Any:
    """What is left of a value in JSON."""
    return json.loads(json.dumps(value, default=str))


def sha256_of(value: Any) -> str:
    """Of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def differences(one: Any, other: Any, at: str = '') -> Iterator[str]:
    """Name what differs between plain values: ``optim_wrapper.optimizer.lr: 0.001, 0.002``."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            yield from differences(
                one.get(key, 'absent'), other.get(key, 'absent'), f'{at}.{key}'.lstrip('.')
            )
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f'{at}.{index}')
    elif one != other:
        yield f'{at}: {_short(one)}, {_short(other)}'


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f'{text[:57]}…'


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
        if run.images != runs[0].images:
            raise ValueError(
                f'{run.folder} has seen {run.images} images, {runs[0].folder} {runs[0].images}: '
                'not the same budget'
            )
        if run.rule != runs[0].rule:
            raise ValueError(
                f'{run.folder} takes the {run.rule} {run.metric} for the better one, '
                f'{runs[0].folder} the {runs[0].rule}; say which by --rule'
            )


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
    for folder in folders:
        try:
            runs.append(read_run(folder, (names or {}).get(str(folder)), metric, rule))
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
        found = json.loads(kept.read_text(encoding='utf-8'))
        if found['predictions_sha256'] == digest:
            return found['errors']
    annotations = evaluator.get('ann_file') or folder / 'predictions.gt.json'
    metainfo = run.protocol['val_dataloader']['dataset'].get('metainfo') or {}
    errors = diagnose(
        annotations,
        predictions,
        metainfo.get('from_file', METAINFO),
        iou_type=evaluator.get('iou_type', 'keypoints'),
        use_area=evaluator.get('use_area', True),
    )
    kept.write_text(json.dumps({'predictions_sha256': digest, 'errors': errors}))
    return errors


def diagnose_all(runs: Iterable[FineTuning]) -> tuple[dict[str, dict], dict[str, str]]:
    """Diagnose runs: what was found, and why nothing could be, each by folder."""
    found, reasons = {}, {}
    for run in runs:
        try:
            found[run.folder] = diagnose_run(run)
        except (OSError, ValueError) as error:
            reasons[run.folder] = str(error)
    return found, reasons


@dataclass(frozen=True)
class Spread:
    """Mean and range of what several seeds came to."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over seeds."""
        return statistics.fmean(self.values)

    @property
    def low(self) -> float:
        """The lowest seed."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The highest seed."""
        return max(self.values)


def spread_note(runs: Sequence[FineTuning]) -> str:
    """Say what the spread is, and what so few seeds are worth."""
    numbers = [len(group) for group in groups(runs).values()]
    fewest = min(numbers)
    text = 'Means over seeds; in brackets, and as bands and bars, from the lowest to the highest.'
    if fewest == 1:
        what = 'There is one seed' if max(numbers) == 1 else 'Of some there is one seed only'
        return f'{what}: no spread can be seen, and differences may be chance.'
    if fewest < FEWEST_SEEDS:
        return (
            f'{text} Two seeds are too few to give an order: of equal initialisations they come '
            f'apart in 1 of {1 / chance_apart(2, 2):.0f} comparisons.'
        )
    pairs = sum(map(len, verdicts(runs).values()))
    expected = pairs * chance_apart(fewest, fewest)
    return (
        f'{text} Were all initialisations equal, {fewest} seeds each would come apart by chance in '
        f'1 of {1 / chance_apart(fewest, fewest):.0f} comparisons; this report makes {pairs}, so '
        f'{expected:.1f} of them are to be expected.'
    )


def groups(runs: Iterable[FineTuning]) -> dict[tuple[float, str], list[FineTuning]]:
    """Sort runs by share of the labels and initialisation, in the order given."""
    found: dict[tuple[float, str], list[FineTuning]] = {}
    for run in runs:
        found.setdefault((run.fraction, run.init), []).append(run)
    return found


def chance_apart(first: int, second: int) -> float:
    """How often the seeds of two equal initialisations do not mix, in either direction.

    All orders of first + second values are then equally likely, and two of them are apart.
    """
    return 2 / math.comb(first + second, first)


def verdict(
    one: str,
    ones: Sequence[float],
    other: str,
    others: Sequence[float],
    rule: str = 'greater',
) -> str:
    """Say what the seeds of two initialisations show, in a sentence.

    One is called ahead only if each of its seeds is better than each of the other's, and either
    has at least three.

    Args:
        one, other: Names.
        ones, others: What their seeds came to.
        rule: What is better, 'greater' or 'less'.
    """
    if not all(map(math.isfinite, [*ones, *others])):
        return f'{one} and {other}: no order can be given, for a seed came to no number.'
    fewest = min(len(ones), len(others))
    if fewest == 1:
        return (
            f'{one} and {other}: no order can be given, for of one seed nothing is known of the '
            'spread.'
        )
    above, below = min(ones) > max(others), max(ones) < min(others)
    if not (above or below):
        return f'{one} and {other}: no difference shown, their spreads overlap.'
    if fewest < FEWEST_SEEDS:
        odds = 1 / chance_apart(len(ones), len(others))
        return (
            f'{one} and {other}: no order is given, for though their seeds do not mix, so few of '
            f'equal initialisations do not mix either in 1 of {odds:.0f} comparisons.'
        )
    if above != (rule == 'greater'):
        one, ones, other, others = other, others, one, ones
    form = number_form([*ones, *others])
    side = 'above' if rule == 'greater' else 'below'
    return (
        f'{one} is ahead of {other}: each of its seeds ({_range(ones, form)}) is {side} each of '
        f'the other’s ({_range(others, form)}).'
    )


def number_form(values: Iterable[float]) -> str:
    """How to write numbers of such a size: shares with three digits, millimetres with one."""
    highest = max(map(abs, values))
    return '.3f' if highest < 10 else '.2f' if highest < 50 else '.1f'


def _range(values: Sequence[float], form: str) -> str:
    return f'{min(values):{form}}–{max(values):{form}}'


def verdicts(runs: Sequence[FineTuning]) -> dict[float, list[str]]:
    """All pairs of initialisations by share of the labels, see :func:`verdict`."""
    scores = {key: [run.score for run in group] for key, group in groups(runs).items()}
    found: dict[float, list[str]] = {}
    for fraction in dict.fromkeys(fraction for fraction, _ in scores):
        names = [init for share, init in scores if share == fraction]
        found[fraction] = [
            verdict(one, scores[fraction, one], other, scores[fraction, other], runs[0].rule)
            for one, other in itertools.combinations(names, 2)
        ]
    return found


def to_result(run: FineTuning, recipe: dict) -> dict[str, Any]:
    """What result.json holds."""
    return {**asdict(run), 'recipe': recipe}
