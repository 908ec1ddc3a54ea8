"""Run what a comparison plans, resumably: pretrainings first, then fine-tunings from each.

Each run is a process of tools/train.py in its own folder. Its recipe is written before it starts,
``result.json`` when it has ended. By these a finished run is skipped, a half-done one resumed, and
one of another recipe refused.
"""

import concurrent.futures
import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from mmengine.config import Config

from hsjp_mm.comparison.fine_tuning_config import sha256_of
from hsjp_mm.comparison.logs import (
    CHECKPOINT,
    LOG,
    Failure,
    end_of_log,
    last_checkpoint,
    whole_checkpoints,
)
from hsjp_mm.comparison.plan import plan, plan_pretrainings, require_fitting
from hsjp_mm.comparison.planned_runs import PlannedFineTuning, PlannedPretraining, PlannedRun
from hsjp_mm.comparison.pretrainings import Pretraining
from hsjp_mm.comparison.recipes import require_same
from hsjp_mm.comparison.runs import RESULT, number_form, read_run
from hsjp_mm.environment.requirements import installed_versions
from hsjp_mm.utils.files import PACKAGE, file_sha256, read_json, write_json

TRAIN = PACKAGE / 'tools/train.py'
STEP = re.compile(
    r'Iter\(train\)\s+\[\s*(\d+)/\d+\]|Epoch\(train\)\s+\[\s*(\d+)\]\[\s*(\d+)/(\d+)\]'
)
PACKAGES = ('python', 'torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmpose', 'hsjp_mm')
RECIPE, ATTEMPTS = 'recipe.json', 'attempts.json'


@dataclass(frozen=True)
class Outcome:
    """What a comparison left.

    Attributes:
        folders: Of the finished fine-tunings.
        pretrainings: The finished ones.
        failures: The runs of either kind that are missing.
    """

    folders: list[Path]
    pretrainings: list[Pretraining]
    failures: list[Failure]


@dataclass(frozen=True)
class Comparison:
    """Pretrainings, then fine-tunings from them and from others.

    A fine-tuning starts from the best checkpoint of its pretraining where the config keeps one
    (``save_best``), else from the last. That of a pretraining which failed is left out.

    Attributes:
        config, inits, fractions, seeds, work_dir: See :func:`plan`.
        processes, metric, rule, longer: See there, too.
        pretrainings: Configs by name, see :func:`plan_pretrainings`.
        pretraining_dir: Folder of the pretrainings' folders, which several comparisons may share;
            by default ``work_dir``.

    Raises:
        ValueError: A name twice.
    """

    config: Config
    inits: Mapping[str, str | None]
    pretrainings: Mapping[str, Config]
    fractions: Sequence[float]
    seeds: Sequence[int]
    work_dir: str | Path
    processes: int = 1
    metric: str = 'coco/AP'
    rule: str | None = None
    longer: Mapping[str, int] = field(default_factory=dict)
    pretraining_dir: str | Path | None = None

    def __post_init__(self) -> None:
        if both := self.inits.keys() & self.pretrainings.keys():
            raise ValueError(
                f'initialisations must have different names, got {" ".join(both)} twice'
            )

    def check(self, rerun: bool = False) -> None:
        """Find what would fail later now, before the time of a pretraining is spent.

        Args:
            rerun: Do not mind folders that hold runs of another recipe.

        Raises:
            ValueError, FileNotFoundError, CheckpointError: What would fail.
        """
        later = self._fine_tunings({**self.inits, **dict.fromkeys(self.pretrainings)}, self.longer)
        stages = self._stages()
        require_fitting(self.config, stages)
        if rerun:
            return
        for stage in stages:
            is_finished(stage)
        for run in later:
            require_same_recipe(run, but=() if run.init.name in self.inits else ('init',))
            require_reported(run)

    def run(
        self,
        jobs: int = 1,
        rerun: bool = False,
        tell: Callable[[str], None] = print,
        failed_before: Sequence[Failure] = (),
    ) -> Outcome:
        """Run what is not finished.

        Args:
            jobs: How many runs at a time.
            rerun: Put the folders of other recipes aside and run anew.
            tell: Takes lines of progress.
            failed_before: Runs, whose pretrainings are not tried once more.

        Raises:
            ValueError, FileNotFoundError, CheckpointError: Before anything is run, as in
                :meth:`check`.
        """
        failures: list[Failure] = []
        done: list[Pretraining] = []
        if self.pretrainings:
            self.check(rerun)
            stages = self._stages()
            before = {failure.folder: failure for failure in failed_before}
            failures = [before[str(s.folder)] for s in stages if str(s.folder) in before]
            to_run = [stage for stage in stages if str(stage.folder) not in before]
            failures += _run_or_rerun(to_run, jobs, rerun, tell)
            failed = {failure.folder for failure in failures}
            done = [stage.read() for stage in stages if str(stage.folder) not in failed]
            for stage in done:
                tell(f'{stage.name}: fine-tunings start from {stage.start}')
        start = {**self.inits, **{stage.name: stage.checkpoint for stage in done}}
        if not start:
            return Outcome([], done, failures)
        lost = self.pretrainings.keys() - start.keys()
        longer = {name: times for name, times in self.longer.items() if name not in lost}
        runs = self._fine_tunings(start, longer)
        failures = failures + _run_or_rerun(runs, jobs, rerun, tell)
        failed = {failure.folder for failure in failures}
        folders = [run.folder for run in runs if str(run.folder) not in failed]
        return Outcome(folders, done, failures)

    def _stages(self) -> list[PlannedPretraining]:
        folder = self.pretraining_dir or self.work_dir
        return plan_pretrainings(self.pretrainings, folder, self.processes)

    def _fine_tunings(
        self, inits: Mapping[str, str | None], longer: Mapping[str, int]
    ) -> list[PlannedFineTuning]:
        return plan(
            self.config, inits, self.fractions, self.seeds, self.work_dir, self.processes,
            self.metric, self.rule, longer,
        )  # fmt: skip


def _run_or_rerun(
    runs: Sequence[PlannedRun], jobs: int, rerun: bool, tell: Callable[[str], None]
) -> list[Failure]:
    if rerun:
        for aside in filter(None, map(put_aside, runs)):
            tell(f'put aside: {aside}')
    return run_all(runs, jobs, tell)


def is_finished(run: PlannedRun) -> bool:
    """Whether a run has its result.

    Raises:
        ValueError: Its folder holds a run of another recipe.
    """
    require_same_recipe(run)
    return (run.folder / RECIPE).is_file() and (run.folder / RESULT).is_file()


def require_same_recipe(run: PlannedRun, but: Sequence[str] = ()) -> None:
    """Refuse a folder that holds a run of another recipe.

    Args:
        run: Which may be there.
        but: Parts of the recipe that are not known yet, such as weights that are to be pretrained.

    Raises:
        ValueError: It does.
    """
    path = run.folder / RECIPE
    if path.is_file():
        recorded = read_json(path, 'recipe')
        now = {**run.recipe, **{key: recorded[key] for key in but if key in recorded}}
        require_same(run.folder, recorded, now)


def require_reported(run: PlannedRun) -> None:
    """See that a fine-tuning that has its result can be reported on by what is asked for.

    The measure is no part of the recipe, for nothing that is trained depends on it.

    Raises:
        ValueError: Its logs do not hold the measure.
    """
    if isinstance(run, PlannedFineTuning) and (run.folder / RESULT).is_file():
        read_run(run.folder, run.init.name, run.metric, run.rule)


def put_aside(run: PlannedRun) -> Path | None:
    """Rename the folder of a run of another recipe, so that it can be run anew; nothing is lost.

    Raises:
        ValueError: Another process is running it.
    """
    try:
        is_finished(run)
    except ValueError:
        with (run.folder / 'lock').open('w') as lock:
            if not _taken(lock):
                raise ValueError(f'{run.folder}: another process is running it') from None
            number = 1
            while (aside := run.folder.with_name(f'{run.folder.name}.old{number}')).exists():
                number += 1
            return run.folder.rename(aside)
    return None


def _taken(lock: IO[str]) -> bool:
    """Take the lock of a run, unless another process has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
        ValueError: ``jobs``, or a folder holds a run of another recipe, or a finished one that
            did not log the measure; then none is started.
    """
    if jobs < 1:
        raise ValueError(f'jobs={jobs} must be at least 1')
    if not TRAIN.is_file():
        raise FileNotFoundError(f'{TRAIN} does not exist: hsjp_mm was installed without its tools')
    if not runs:
        return []
    todo = [run for run in runs if not is_finished(run)]
    for run in runs:
        require_reported(run)
    half = sum(bool(checkpoint_to_resume(run)) for run in todo)
    what = 'pretraining' if isinstance(runs[0], PlannedPretraining) else 'run'
    lengths = ' or '.join(map(str, sorted({run.iterations for run in runs})))
    tell(
        f'{len(runs)} {what}{"s" * (len(runs) > 1)}: {len(runs) - len(todo)} finished before, '
        f'{half} to be resumed, {len(todo) - half} to be started; {lengths} iterations each'
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
        if not _taken(lock):
            return progress.failed(run, 'another process is running it', '')
        try:
            is_finished(run)  # others may have come first while this one waited for its turn
        except ValueError as error:
            return progress.failed(run, str(error), '')
        write_json(run.folder / RECIPE, run.recipe)
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
        write_json(run.folder / RESULT, run.result(result))
        progress.ended(run, result)
    return None


def checkpoint_to_resume(run: PlannedRun) -> Path | None:
    """The newest checkpoint to go on from, that which last_checkpoint names or one before it.

    MMEngine may have been killed while it wrote, so that the file is not whole, or after writing
    that of the end and before the last evaluation, which it would not make up for.
    """
    last = last_checkpoint(run.folder)
    name = CHECKPOINT.fullmatch(last.name) if last else None
    if name is None:
        return None
    end = run.config.train_cfg.max_epochs if name['unit'] == 'epoch_' else run.iterations
    found = whole_checkpoints(run.folder, name['unit'])
    numbers = [number for number in found if number <= int(name['number']) and number < end]
    return found[max(numbers)] if numbers else None


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
    write_json(run.folder / ATTEMPTS, [*_attempts(run.folder), attempt])
    return child.returncode


def _attempts(folder: Path) -> list[dict]:
    path = folder / ATTEMPTS
    return read_json(path, 'attempts') if path.is_file() else []


def _result(run: PlannedRun) -> Any:
    """Read what a run left, and add what only its runner knows."""
    found = run.read()
    attempts = _attempts(run.folder)
    files = {'recipe': sha256_of(run.recipe), 'config.py': file_sha256(run.folder / 'config.py')}
    if (checkpoint := last_checkpoint(run.folder)) and checkpoint.is_file():
        files[checkpoint.name] = file_sha256(checkpoint)
    return replace(
        found,
        host_memory=max((attempt['host_memory'] for attempt in attempts), default=None),
        commands=[attempt['command'] for attempt in attempts],
        hashes={**files, **run.hashes()},
        versions=installed_versions(list(PACKAGES)),
    )


def _number(value: str) -> str:
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
        elif run.metric and (match := re.search(rf'{re.escape(run.metric)}: (-?[\d.]+)', line)):
            at = f'{self.done[run.folder]} of {run.iterations} iterations'
            self._say(run, f'{at}, {run.metric} {_number(match[1])}; {self._left()}')

    def failed(self, run: PlannedRun, reason: str, log: str) -> Failure:
        self.total -= run.iterations - self.done[run.folder]
        if self.stopped:
            return Failure(run.title, str(run.folder), 'interrupted', '')
        self._say(run, f'FAILED: {reason}\n{log}')
        return Failure(run.title, str(run.folder), reason, log)

    def ended(self, run: PlannedRun, result: Any) -> None:
        self.done[run.folder] = run.iterations
        self._say(run, f'{result.summary} after {result.seconds:.0f} s')

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
