"""What MMEngine leaves in the work folder of any training: configs, logged scalars, logs."""

import json
import re
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from hsjp_mm.comparison.fine_tuning_config import by_epoch

LOG = 'train.log'
"""What a training printed, where ``hsjp_mm.comparison.execution`` ran it."""
CHECKPOINT = re.compile(r'(?P<unit>epoch_|iter_)(?P<number>\d+)\.pth')
_STAMP = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ', re.MULTILINE)
_EPOCH = re.compile(r'Epoch\(train\)\s+\[\s*\d+\]\[\s*\d+/(\d+)\]')
_SEED = re.compile(r'^\s+seed: (\d+)$', re.MULTILINE)
_PROCESSES = re.compile(r'^\s+GPU number: (\d+)$', re.MULTILINE)


def reason_of(error: Exception) -> str:
    """What stood in the way, for a sentence: also of an error that says nothing by itself."""
    text = str(error).rstrip('.')
    plain = text and isinstance(error, OSError | ValueError)
    return text if plain else f'{type(error).__name__}: {text}'.rstrip(': ')


class UnfinishedError(ValueError):
    """A work folder whose run has not come to its end."""


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


@dataclass(frozen=True)
class Logged:
    """What was logged in a work folder, by all attempts.

    Attributes:
        folder: Where it was read.
        config: Of the last attempt.
        text: All logs, one after another.
        train: Scalars of training by iteration, each with ``step``.
        val: Scalars of the evaluations, with ``step`` in iterations too.
        end: The iterations of the whole budget.
        batch: Images of an iteration, over all processes.
        seconds: From the first to the last line of a log, summed over attempts.
        seed: Of the run, None if nothing says it.
    """

    folder: Path
    config: Config
    text: str
    train: list[dict]
    val: list[dict]
    end: int
    batch: int
    seconds: float
    seed: int | None

    @property
    def gpu_memory(self) -> float | None:
        """The peak that was logged in MiB, None without a GPU."""
        return max((line['memory'] for line in self.train if 'memory' in line), default=None)


def read_logged(folder: str | Path) -> Logged:
    """Read what MMEngine's Runner left; of a step done again after resuming, the later one counts.

    Raises:
        FileNotFoundError: The folder holds no run.
        ValueError: The run does not say what is needed.
    """
    folder = Path(folder)
    logs = sorted(folder.glob('*/*.log'))
    if not logs:
        raise FileNotFoundError(f'{folder} holds no run (*/*.log, */vis_data/config.py)')
    config = last_config(folder)
    texts = [log.read_text(encoding='utf-8', errors='replace') for log in logs]
    text = ''.join(texts)
    end, unit = _budget(config, int(first(_EPOCH, text, '0')), folder)
    train, val = merge_scalars(sorted(folder.glob('*/vis_data/scalars.json')))
    seed = config.get('randomness', {}).get('seed')
    if seed is None:
        seed = first(_SEED, text, '') or None
    return Logged(
        folder=folder,
        config=config,
        text=text,
        train=train,
        val=[{**line, 'step': line['step'] * unit} for line in val],
        end=end * unit,
        batch=config.train_dataloader.batch_size * int(first(_PROCESSES, text, '1')),
        seconds=sum(map(_seconds, texts)),
        seed=None if seed is None else int(seed),
    )


def last_config(folder: str | Path) -> Config:
    """The config of the last attempt, as MMEngine wrote it.

    Raises:
        FileNotFoundError: The folder holds none.
    """
    configs = sorted(Path(folder).glob('*/vis_data/config.py'))
    if not configs:
        raise FileNotFoundError(f'{folder} holds no run (*/*.log, */vis_data/config.py)')
    return Config.fromfile(configs[-1])


def first(pattern: re.Pattern, text: str, default: str) -> str:
    """The first group of the first match."""
    match = pattern.search(text)
    return match[1] if match else default


def last_checkpoint(folder: str | Path) -> Path | None:
    """The file that MMEngine wrote last; of its path the name alone, for folders may be moved."""
    note = Path(folder, 'last_checkpoint')
    return Path(folder, Path(note.read_text().strip()).name) if note.is_file() else None


def whole_checkpoints(folder: Path, unit: str) -> dict[int, Path]:
    """Checkpoints by number, without those that MMEngine was killed over.

    Args:
        folder: Where they are.
        unit: 'epoch_' or 'iter_'.
    """
    return {
        int(match['number']): path
        for path in folder.glob(f'{unit}*.pth')
        if (match := CHECKPOINT.fullmatch(path.name)) and zipfile.is_zipfile(path)
    }


def end_of_log(folder: str | Path, lines: int = 20) -> str:
    """Read the last lines of what a run printed, or logged where that was not kept."""
    logs = [*sorted(Path(folder).glob('*/*.log')), Path(folder, LOG)]
    last = [log for log in logs if log.is_file()][-1:]
    texts = (log.read_text(encoding='utf-8', errors='replace') for log in last)
    return '\n'.join(line for text in texts for line in text.splitlines()[-lines:])


def merge_scalars(files: Sequence[Path]) -> tuple[list[dict], list[dict]]:
    """Lines of training and of evaluations, each once a step.

    Raises:
        ValueError: A line is no JSON, other than the last one of a file, which MMEngine may have
            been killed over.
    """
    train: dict[int, dict] = {}
    val: dict[int, dict] = {}
    for file in files:
        for line in _lines(file):
            (train if 'loss' in line else val).setdefault(line['step'], {}).update(line)
    return [train[step] for step in sorted(train)], [val[step] for step in sorted(val)]


def _lines(file: Path) -> Iterator[Mapping]:
    """What a file of scalars holds, without a last line that was cut."""
    texts = file.read_text(encoding='utf-8', errors='replace').splitlines()
    for number, text in enumerate(texts, 1):
        try:
            yield json.loads(text)
        except ValueError as error:
            if number < len(texts):
                raise ValueError(f'{file}, line {number} is no JSON: {error}') from error


def _budget(config: Config, per_epoch: int, folder: Path) -> tuple[int, int]:
    """The step of the last evaluation, and the iterations of a step."""
    logger = (config.get('default_hooks') or {}).get('logger') or {}
    counts_epochs = logger.get('log_metric_by_epoch', True)
    if by_epoch(config):
        if not per_epoch:
            raise ValueError(f'{folder}: the log does not say how many iterations an epoch has')
        last = config.train_cfg.max_epochs
        return (last, per_epoch) if counts_epochs else (last * per_epoch, 1)
    if counts_epochs:
        raise ValueError(
            f'{folder} counts iterations but logs evaluations by epoch; run it with '
            'default_hooks.logger.log_metric_by_epoch=False'
        )
    return config.train_cfg.max_iters, 1


def _seconds(log: str) -> float:
    stamps = _STAMP.findall(log)
    if not stamps:
        return 0.0
    start, end = (time.strptime(stamps[i], '%Y/%m/%d %H:%M:%S') for i in (0, -1))
    return time.mktime(end) - time.mktime(start)
