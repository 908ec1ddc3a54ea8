"""Run one fine-tuning from several initialisations, with several seeds and shares of the labels.

Each run is a process of tools/train.py in WORK/INIT/labels-FRACTION/seed-SEED. Its *recipe*, all
that decides on its result, is written before it starts; ``result.json`` when it has ended. By these
a finished run is skipped, a half-done one resumed, and one of another recipe refused.
"""

import concurrent.futures
import copy
import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, MODELS, init_default_scope

import hsjp_mm
from hsjp_mm.checkpoint import audit
from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.comparison.fine_tuning_config import rule_of
from hsjp_mm.comparison.runs import (
    LOG,
    RESULT,
    Failure,
    FineTuning,
    by_epoch,
    checkpoint_of,
    differences,
    end_of_log,
    evaluators_of,
    number_form,
    plain,
    protocol_of,
    read_run,
    sha256_of,
    to_result,
)
from hsjp_mm.environment.requirements import installed_versions
from hsjp_mm.utils.files import file_sha256

TRAIN = Path(hsjp_mm.__file__).parent / '.mim' / 'tools' / 'train.py'
NAME = re.compile(r'[\w.+-]+')
STEP = re.compile(
    r'Iter\(train\)\s+\[\s*(\d+)/\d+\]|Epoch\(train\)\s+\[\s*(\d+)\]\[\s*(\d+)/(\d+)\]'
)

PACKAGES = ('python', 'torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmpose', 'hsjp_mm')
CHECKPOINT = re.compile(r'(?P<unit>epoch_|iter_)(?P<number>\d+)\.pth')
RECIPE, ATTEMPTS = 'recipe.json', 'attempts.json'
SAMPLER = 'hsjp_mm.FixedLengthSampler'


@dataclass(frozen=True)
class Init:
    """An initialisation of the backbone.

    Attributes:
        name: For folders and legends.
        checkpoint: Path or http(s) address; None for random weights.
        sha256: Of the file.
        coverage: The line of how much of it fits.
    """

    name: str
    checkpoint: str | None
    sha256: str | None = None
    coverage: str = 'backbone: random weights'


@dataclass(frozen=True)
class PlannedRun:
    """A fine-tuning to run.

    Attributes:
        init: From where.
        fraction: Of the labels.
        seed: Of the run, and of the choice of labels.
        folder: Its work folder.
        config: Complete.
        recipe: Plain values: ``protocol``, ``init``, ``labels``, ``seed``, ``processes``, ``data``.
        iterations: In all.
        processes: Of torchrun.
        metric: Key of the measure.
        rule: What is better of it, 'greater' or 'less'.
    """

    init: Init
    fraction: float
    seed: int
    folder: Path
    config: Config
    recipe: dict[str, Any]
    iterations: int
    processes: int
    metric: str
    rule: str

    @property
    def title(self) -> str:
        """For the screen."""
        return f'{self.init.name}, {self.fraction:.0%} of the labels, seed {self.seed}'


def parse_init(text: str) -> tuple[str, str | None]:
    """Read ``scratch``, ``NAME=scratch`` or ``NAME=CHECKPOINT``: name, and checkpoint or None.

    Raises:
        ValueError: Anything else.
    """
    name, sign, source = text.partition('=')
    if not sign and name == 'scratch':
        source = name
    if not source or not NAME.fullmatch(name):
        raise ValueError(
            f'init {text!r} must be scratch, NAME=scratch or NAME=CHECKPOINT, with a name of '
            'letters, digits and . + - _'
        )
    return name, None if source == 'scratch' else source


def plan(
    config: Config,
    inits: Mapping[str, str | None],
    fractions: Sequence[float],
    seeds: Sequence[int],
    work_dir: str | Path,
    processes: int = 1,
    metric: str = 'coco/AP',
    rule: str | None = None,
) -> list[PlannedRun]:
    """Lay out the runs, and check before the first one starts what would fail in each.

    All have the same budget: the config's iterations at its batch size, whatever the share of the
    labels. A config that counts iterations is left as it is; of one that counts epochs, an epoch
    takes as many images as one of all labels, see FixedLengthSampler. Seed s draws the weights that
    are not loaded and the order of the data, and chooses the labels (``LabelSubset``, by images):
    the initialisations are compared on the same labels.

    Args:
        config: Any of MMPose with ``model.backbone``. A checkpoint that it loads is not used, as in
            ``init_cfg=None``; random weights are drawn as it says.
        inits: Checkpoint by name; None for random weights.
        fractions: Of the labels, in (0, 1].
        seeds: One run each.
        work_dir: Folder of the runs' folders.
        processes: Of torchrun, each with the batch size of the config; 1 for none.
        metric: Key of the measure in the evaluations.
        rule: What is better of it, 'greater' or 'less'; by default the config or the name of the
            measure says it, see :func:`rule_of`.

    Returns:
        The runs, seed by seed, so that what is there half way is already balanced.

    Raises:
        ValueError: An argument outside its range, or a config that cannot be compared so.
        FileNotFoundError: A checkpoint or an annotation file is missing.
        CheckpointError: A checkpoint does not fit the backbone.
    """
    _check(inits, fractions, seeds, processes)
    rule = rule_of(config, metric, rule)
    config = _prepare(config, processes, min(fractions))
    found = [_check_init(config, name, checkpoint) for name, checkpoint in inits.items()]
    data = _data_hashes(config)
    runs = []
    for seed in seeds:
        for fraction in fractions:
            for init in found:
                folder = Path(work_dir, init.name, f'labels-{fraction:g}', f'seed-{seed}').resolve()
                own = _with(config, init, fraction, seed, folder)
                recipe = {
                    'init': init.sha256 or {'random weights': _drawn(own)},
                    'labels': fraction,
                    'seed': seed,
                    'processes': processes,
                    'data': data,
                    'protocol': protocol_of(own),
                }
                runs.append(
                    PlannedRun(
                        init, fraction, seed, folder, own, plain(recipe),
                        _iterations(own, processes), processes, metric, rule,
                    )
                )  # fmt: skip
    return runs


def _check(
    inits: Mapping[str, str | None],
    fractions: Sequence[float],
    seeds: Sequence[int],
    processes: int,
) -> None:
    for name, values in (('inits', inits), ('fractions', fractions), ('seeds', seeds)):
        if not values or len(set(values)) != len(values):
            raise ValueError(f'{name}={list(values)} must be one or more, each once')
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise ValueError(f'fractions: {fraction} must be in (0, 1]')
    for seed in seeds:
        if seed < 0:
            raise ValueError(f'seeds: {seed} must not be negative')
    if processes < 1:
        raise ValueError(f'processes={processes} must be at least 1')


def _prepare(config: Config, processes: int, smallest: float) -> Config:
    """What all runs have in common."""
    config = copy.deepcopy(config)
    needed = ('train_dataloader', 'train_cfg', 'val_evaluator')
    missing = [key for key in needed if key not in config]
    if 'backbone' not in config.get('model', {}):
        missing.append('model.backbone')
    if missing:
        raise ValueError(f'config {config.filename!r} lacks {", ".join(missing)}')
    if config.get('load_from') or config.get('resume'):
        raise ValueError('load_from and resume would initialise the whole model; leave them out')
    if not config.train_dataloader.get('batch_size'):
        raise ValueError('train_dataloader.batch_size is needed, to count the images seen')
    if checkpoint_of(config) is not None:
        config.model.backbone.init_cfg = None
    init_default_scope(config.get('default_scope', 'mmpose'))
    dataset = config.train_dataloader.dataset
    if smallest < 1:  # complains at once of what it cannot wrap
        DATASETS.build(plain(_subset(dataset, smallest, 0)) | {'lazy_init': True})
    if by_epoch(config):
        sampler = config.train_dataloader.sampler
        if sampler.type != 'DefaultSampler':
            raise ValueError(
                f'train_dataloader.sampler is a {sampler.type}: only with a DefaultSampler can '
                'epochs be made equally long for all shares of the labels; count iterations instead'
            )
        config.train_dataloader.sampler = ConfigDict(
            type=SAMPLER,
            num_samples=len(DATASETS.build(copy.deepcopy(dataset))),
            shuffle=sampler.get('shuffle', True),
        )
    else:
        logger = config.setdefault('default_hooks', ConfigDict()).setdefault(
            'logger', ConfigDict(type='LoggerHook')
        )
        logger.log_metric_by_epoch = False
    return config


def _check_init(config: Config, name: str, checkpoint: str | None) -> Init:
    if checkpoint is None:
        return Init(name, None)
    if not checkpoint.startswith(('http://', 'https://')):
        checkpoint = str(Path(checkpoint).expanduser().resolve())
    backbone = copy.deepcopy(config.model.backbone)
    backbone.pop('init_cfg', None)
    coverage, _ = audit(MODELS.build(backbone), checkpoint)
    if not coverage.ok:
        raise CheckpointError(
            f'init {name}: {checkpoint} does not fit the backbone.\n{coverage.line()}\n'
            f'{coverage.report()}'
        )
    return Init(name, checkpoint, coverage.sha256, coverage.line())


def _data_hashes(config: Config) -> dict[str, str]:
    """SHA-256 of the annotation files of training and evaluation, by name."""
    files = set()
    for part in ('train_dataloader', 'val_dataloader'):
        files |= set(_annotation_files(config.get(part) or {}))
    files |= {e['ann_file'] for e in evaluators_of(config) if e.get('ann_file')}
    for file in files:
        if not Path(file).is_file():
            raise FileNotFoundError(f'annotations {file!r} do not exist')
    return {str(file): file_sha256(file) for file in sorted(files)}


def _annotation_files(part: Any) -> Iterable[str]:
    if isinstance(part, dict):
        name = part.get('ann_file')
        if isinstance(name, str) and name:
            yield os.path.join(part.get('data_root') or '', name)
        for value in part.values():
            yield from _annotation_files(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _annotation_files(value)


def _subset(dataset: dict, fraction: float, seed: int) -> ConfigDict:
    return ConfigDict(
        type='hsjp_mm.LabelSubset', dataset=dataset, fraction=fraction, by='images', seed=seed
    )


def _with(config: Config, init: Init, fraction: float, seed: int, folder: Path) -> Config:
    """The config of a run."""
    config = copy.deepcopy(config)
    if init.checkpoint:
        config.model.backbone.init_cfg = ConfigDict(
            type='hsjp_mm.PretextInit', checkpoint=init.checkpoint
        )
    if fraction < 1:
        loader = config.train_dataloader
        loader.dataset = _subset(loader.dataset, fraction, seed)
    config.setdefault('randomness', ConfigDict()).seed = seed
    for evaluator in evaluators_of(config):
        if 'CocoMetric' in evaluator['type']:
            evaluator['outfile_prefix'] = str(folder / 'predictions')
    return config


def _drawn(config: Config) -> Any:
    """How random weights are drawn."""
    return config.model.backbone.get('init_cfg', 'by the defaults of the backbone')


def _iterations(config: Config, processes: int) -> int:
    if not by_epoch(config):
        return config.train_cfg.max_iters
    loader = config.train_dataloader
    batch = loader.batch_size * processes
    return config.train_cfg.max_epochs * -(-loader.sampler.num_samples // batch)


def is_finished(run: PlannedRun) -> bool:
    """Whether a run has its result.

    Raises:
        ValueError: Its folder holds a run of another recipe.
    """
    path = run.folder / RECIPE
    if not path.is_file():
        return False
    recorded = json.loads(path.read_text(encoding='utf-8'))
    changed = list(differences(recorded, run.recipe))
    if changed:
        raise ValueError(
            f'{run.folder} holds a run of another recipe (there, now): {"; ".join(changed[:8])}. '
            'Ask for what it was, take another work folder, or put it aside and run anew (--rerun)'
        )
    return (run.folder / RESULT).is_file()


def put_aside(run: PlannedRun) -> Path | None:
    """Rename the folder of a run of another recipe, so that it can be run anew; nothing is lost."""
    try:
        is_finished(run)
    except ValueError:
        number = 1
        while (aside := run.folder.with_name(f'{run.folder.name}.old{number}')).exists():
            number += 1
        return run.folder.rename(aside)
    return None


def run_all(
    runs: Sequence[PlannedRun], jobs: int = 1, tell: Callable[[str], None] = print
) -> list[Failure]:
    """Run what is not finished; a failure does not stop the others.

    Args:
        runs: From :func:`plan`.
        jobs: How many at a time.
        tell: Takes lines of progress.

    Returns:
        Those that failed.

    Raises:
        ValueError: ``jobs``, or a folder holds a run of another recipe; then none is started.
    """
    if jobs < 1:
        raise ValueError(f'jobs={jobs} must be at least 1')
    if not TRAIN.is_file():
        raise FileNotFoundError(f'{TRAIN} does not exist: hsjp_mm was installed without its tools')
    todo = [run for run in runs if not is_finished(run)]
    half = sum(bool(checkpoint_to_resume(run)) for run in todo)
    many = 's' * (len(runs) > 1)
    tell(
        f'{len(runs)} run{many}: {len(runs) - len(todo)} finished before, {half} to be resumed, '
        f'{len(todo) - half} to be started; {runs[0].iterations} iterations each'
    )
    progress = _Progress(todo, jobs, tell)
    children: set[subprocess.Popen] = set()
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        futures = [pool.submit(_run, run, progress, children) for run in todo]
        outcomes = [future.result() for future in futures]
    except BaseException:
        progress.stopped = True
        pool.shutdown(wait=False, cancel_futures=True)
        for child in list(children):
            os.killpg(child.pid, signal.SIGTERM)
        raise
    finally:
        pool.shutdown()
    return [outcome for outcome in outcomes if outcome]


def _run(run: PlannedRun, progress: '_Progress', children: set[subprocess.Popen]) -> Failure | None:
    """Run one and write its result, or say how it failed."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / 'lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return progress.failed(run, 'another process is running it', '')
        _write(run.folder / RECIPE, run.recipe)
        run.config.dump(run.folder / 'config.py')
        if progress.stopped:
            return progress.failed(run, 'interrupted', '')
        if not _has_ended(run):
            checkpoint = checkpoint_to_resume(run)
            progress.starts(run, checkpoint)
            code = _train(run, _command(run, checkpoint), lock, progress, children)
            if code:
                return progress.failed(run, f'exit status {code}', end_of_log(run.folder))
        try:
            result = _result(run)
        except (OSError, ValueError) as error:
            return progress.failed(run, str(error), end_of_log(run.folder))
        _write(run.folder / RESULT, to_result(result, run.recipe))
        progress.ended(run, result)
    return None


def checkpoint_to_resume(run: PlannedRun) -> Path | None:
    """The newest checkpoint to go on from, that which last_checkpoint names or one before it.

    MMEngine may have been killed while it wrote, so that the file is not whole, or after writing
    that of the end and before the last evaluation, which it would not make up for.
    """
    last = _last_checkpoint(run.folder)
    name = CHECKPOINT.fullmatch(last.name) if last else None
    if name is None:
        return None
    end = run.config.train_cfg.max_epochs if name['unit'] == 'epoch_' else run.iterations
    found = {
        int(match['number']): path
        for path in run.folder.glob(f'{name["unit"]}*.pth')
        if (match := CHECKPOINT.fullmatch(path.name)) and zipfile.is_zipfile(path)
    }
    numbers = [number for number in found if number <= int(name['number']) and number < end]
    return found[max(numbers)] if numbers else None


def _last_checkpoint(folder: Path) -> Path | None:
    """The file that MMEngine wrote last; of its path the name alone, for folders may be moved."""
    note = folder / 'last_checkpoint'
    return folder / Path(note.read_text().strip()).name if note.is_file() else None


def _has_ended(run: PlannedRun) -> bool:
    """Whether a run came to its end, though its result was not written."""
    try:
        _result(run)
    except (OSError, ValueError):
        return False
    return True


def _command(run: PlannedRun, checkpoint: Path | None) -> list[str]:
    """What is run, with paths as seen from here."""
    script = [_seen(TRAIN.resolve()), _seen(run.folder / 'config.py')]
    options = ['--work-dir', _seen(run.folder)]
    if checkpoint:
        options += ['--resume', _seen(checkpoint)]
    if run.processes == 1:
        return ['python', *script, *options]
    many = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', str(run.processes)]
    return ['python', *many, *script, *options, '--launcher', 'pytorch']


def _seen(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _train(
    run: PlannedRun,
    command: list[str],
    lock: IO[str],
    progress: '_Progress',
    children: set[subprocess.Popen],
) -> int:
    """Run a command, follow what it prints, and record it as an attempt; returns its status."""
    threads = max(1, (os.cpu_count() or 1) // progress.jobs)
    start = time.time()
    with (run.folder / LOG).open('a', encoding='utf-8') as log:
        child = subprocess.Popen(
            [sys.executable, *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            env={'OMP_NUM_THREADS': str(threads), **os.environ, 'PYTHONUNBUFFERED': '1'},
            # the child holds the lock too, should this process be killed
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )
        children.add(child)
        assert child.stdout is not None
        for line in child.stdout:
            log.write(line)
            log.flush()
            progress.follow(run, line)
        # wait4 rather than wait: it tells the peak memory of this child alone
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        children.discard(child)
    attempt = {
        'command': shlex.join(command),
        'started': time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(start)),
        'exit_status': child.returncode,
        'host_memory': usage.ru_maxrss / 1024,
    }
    _write(run.folder / ATTEMPTS, [*_attempts(run.folder), attempt])
    return child.returncode


def _attempts(folder: Path) -> list[dict]:
    path = folder / ATTEMPTS
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else []


def _result(run: PlannedRun) -> FineTuning:
    """Read what a run left, and add what only its runner knows."""
    found = read_run(run.folder, run.init.name, run.metric, run.rule)
    if run.init.sha256 and f'sha256 {run.init.sha256[:8]}' not in found.coverage:
        raise ValueError(f'the log does not show that {run.init.checkpoint} was loaded')
    if changed := list(differences(run.recipe['protocol'], found.protocol)):
        raise ValueError(f'the run logged another config than planned: {"; ".join(changed[:8])}')
    attempts = _attempts(run.folder)
    files = {'recipe': sha256_of(run.recipe), 'config.py': file_sha256(run.folder / 'config.py')}
    if run.init.sha256:
        files['initialisation'] = run.init.sha256
    if (checkpoint := _last_checkpoint(run.folder)) and checkpoint.is_file():
        files[checkpoint.name] = file_sha256(checkpoint)
    values = {
        **vars(found),
        'host_memory': max((attempt['host_memory'] for attempt in attempts), default=None),
        'commands': [attempt['command'] for attempt in attempts],
        'hashes': {**files, **run.recipe['data']},
        'versions': installed_versions(list(PACKAGES)),
    }
    return FineTuning(**values)


def _write(path: Path, value: Any) -> None:
    """Write JSON so that the file is there whole or not at all."""
    new = path.with_name(f'{path.name}.new')
    new.write_text(json.dumps(value, indent=1) + '\n', encoding='utf-8')
    new.replace(path)


def _number(value: str | float) -> str:
    return f'{float(value):{number_form([float(value)])}}'


class _Progress:
    """Tells how far the runs are, and how long the rest will take at the pace so far."""

    def __init__(self, todo: Sequence[PlannedRun], jobs: int, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.jobs = jobs
        self.numbers = {run.folder: f'[{i}/{len(todo)}]' for i, run in enumerate(todo, 1)}
        self.done = dict.fromkeys(self.numbers, 0)
        self.skipped = dict(self.done)
        self.resumed: set[Path] = set()
        self.stopped = False
        self.total = sum(run.iterations for run in todo)
        self.start = time.time()
        self.guard = threading.Lock()

    def starts(self, run: PlannedRun, checkpoint: Path | None) -> None:
        if checkpoint:
            self.resumed.add(run.folder)
        self._say(run, f'goes on from {checkpoint.name}' if checkpoint else 'starts')

    def follow(self, run: PlannedRun, line: str) -> None:
        """Take a line of a run's log, and tell of evaluations."""
        if match := STEP.search(line):
            iteration, epoch, batch, batches = (int(group or 0) for group in match.groups())
            if not iteration:
                iteration = (epoch - 1) * batches + batch
            if run.folder in self.resumed and not self.done[run.folder]:
                self.skipped[run.folder] = iteration - 1  # cost nothing now
            self.done[run.folder] = iteration
        elif match := re.search(rf'{re.escape(run.metric)}: (-?[\d.]+)', line):
            at = f'{self.done[run.folder]} of {run.iterations} iterations'
            self._say(run, f'{at}, {run.metric} {_number(match[1])}; {self._left()}')

    def failed(self, run: PlannedRun, reason: str, log: str) -> Failure:
        self.total -= run.iterations - self.done[run.folder]
        if self.stopped:
            return Failure(run.title, str(run.folder), 'interrupted', '')
        self._say(run, f'FAILED: {reason}\n{log}')
        return Failure(run.title, str(run.folder), reason, log)

    def ended(self, run: PlannedRun, result: FineTuning) -> None:
        self.done[run.folder] = run.iterations
        self._say(run, f'{run.metric} {_number(result.score)} after {result.seconds:.0f} s')

    def _left(self) -> str:
        skipped = sum(self.skipped.values())
        done = sum(self.done.values()) - skipped
        if not done:
            return 'time left unknown'
        left = (time.time() - self.start) / done * (self.total - skipped - done)
        return f'about {left / 60:.0f} min left in all' if left > 90 else f'about {left:.0f} s left'

    def _say(self, run: PlannedRun, text: str) -> None:
        with self.guard:
            self.tell(f'{self.numbers[run.folder]} {run.title}: {text}')
