"""Read what a pretraining came to, and choose the checkpoint that fine-tunings start from.

What a pretext task measures its model's class says (``PretextModel.measures``), so that a task
which is registered outside of this package is told of like those inside. A pretraining of another
kind, of 2D poses or a detector, is told of by its own metric.
"""

import glob
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from hsjp_mm.comparison.fine_tuning_config import by_epoch, settings_of
from hsjp_mm.comparison.logs import (
    CHECKPOINT,
    UnfinishedError,
    last_checkpoint,
    read_logged,
)
from hsjp_mm.comparison.runs import RESULT
from hsjp_mm.models.pretext.base import Measure, PretextModel
from hsjp_mm.utils.files import file_sha256, read_json

RECORDED = ('host_memory', 'commands', 'hashes', 'versions')
"""What only its runner knows of a pretraining."""


@dataclass(frozen=True)
class Pretraining:
    """What a pretraining came to.

    Attributes:
        name: Of the initialisation.
        folder: Its work folder.
        checkpoint: Path of the file that fine-tunings start from.
        sha256: Of that file.
        chosen: Why that one: 'the best by hsjp/placed', or 'the last'.
        model: The type of the model, as its config writes it.
        measures: What its evaluations report.
        health: A scalar of its training that is near 0 where nothing is learnt, if it has one.
        train: Logged scalars of training, with ``step`` in iterations.
        val: Those of the evaluations, with ``step`` in iterations.
        settings: All of its config that decides on what it came to, plain values.
        iterations: In all.
        images: Seen in training, with repetition.
        seed: Of the run.
        seconds: From the first to the last line of the log, summed over attempts.
        gpu_memory: Peak that was logged in MiB, if there was a GPU.
        host_memory: Peak of the largest process in MiB, if known.
        commands: What was run, one line an attempt; empty if not recorded.
        hashes: SHA-256 by what they are of.
        versions: Of the packages.
    """

    name: str
    folder: str
    checkpoint: str
    sha256: str
    chosen: str
    model: str
    measures: tuple[Measure, ...]
    health: Measure | None
    train: list[dict]
    val: list[dict]
    settings: dict[str, Any]
    iterations: int
    images: int
    seed: int | None
    seconds: float
    gpu_memory: float | None = None
    host_memory: float | None = None
    commands: list[str] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What it came to, in a line."""
        reached = [f'{m.name} {number(self.val[-1][m.name], m.digits)}' for m in self.logged()[:1]]
        return ' '.join(reached) or f'{self.iterations} iterations'

    @property
    def start(self) -> str:
        """The file that fine-tunings start from, and why that one."""
        return f'{Path(self.checkpoint).name}, {self.chosen}'

    def logged(self) -> list[Measure]:
        """The measures that the last evaluation holds: a head may lack the branch of one."""
        last = self.val[-1] if self.val else {}
        return [measure for measure in self.measures if measure.name in last]

    def rows(self) -> list[tuple[str, str, str]]:
        """Each measure's label, value at the end and chance level ('' where there is none)."""
        last = self.val[-1] if self.val else {}
        return [
            (
                measure.label,
                number(last[measure.name], measure.digits),
                number(last[chance], measure.digits)
                if (chance := f'{measure.name}_chance') in last
                else '',
            )
            for measure in self.logged()
        ]


def number(value: float, digits: int) -> str:
    """Round, or give two significant digits where rounding would leave nothing."""
    return f'{value:.2g}' if 0 < abs(value) < 0.5 * 10**-digits else f'{value:.{digits}f}'


def model_class(config: Config) -> type | None:
    """The class of a config's model, None if nothing is registered by that name."""
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmpose')):
        model = config.model.type
        cls = MODELS.get(model) if isinstance(model, str) else model
    return cls if isinstance(cls, type) else None


def pretext_of(config: Config) -> type[PretextModel] | None:
    """The class of a config's model if it is a pretext task, else None."""
    cls = model_class(config)
    return cls if cls and issubclass(cls, PretextModel) else None


def followed_metric(config: Config) -> str:
    """The measure by which a pretraining is followed: that of its best checkpoint, '' if none."""
    names = _best_by(config)
    pretext = pretext_of(config)
    return names[0] if names else pretext.save_best if pretext else ''


def read_pretraining(folder: str | Path, name: str) -> Pretraining:
    """Read a finished pretraining from its work folder.

    Args:
        folder: Written by MMEngine's Runner.
        name: Of the initialisation.

    Raises:
        FileNotFoundError: The folder holds no run.
        UnfinishedError: The run has no checkpoint, or no evaluation, of its end.
        ValueError: The run does not say what is needed.
    """
    folder = Path(folder)
    logged = read_logged(folder)
    config = logged.config
    if config.get('val_cfg') and (not logged.val or logged.val[-1]['step'] != logged.end):
        reached = f'evaluated at {logged.val[-1]["step"]}' if logged.val else 'no evaluation yet'
        raise UnfinishedError(f'{folder}: {reached} of {logged.end} iterations')
    checkpoint, chosen = _choose(folder, config)
    path = folder / RESULT
    recorded: dict[str, Any] = read_json(path, 'result') if path.is_file() else {}
    sha256 = file_sha256(checkpoint)
    if recorded and recorded.get('sha256') != sha256:
        raise ValueError(
            f'{checkpoint} is not the file that {path} recorded at the end of the pretraining; put '
            'the folder aside to pretrain anew'
        )
    pretext = pretext_of(config)
    return Pretraining(
        name=name,
        folder=str(folder),
        checkpoint=str(checkpoint),
        sha256=sha256,
        chosen=chosen,
        model=_name_of_model(config),
        measures=pretext.measures if pretext else _own_metric(config, logged.val),
        health=pretext.health if pretext else None,
        train=logged.train,
        val=logged.val,
        settings=settings_of(config),
        iterations=logged.end,
        images=logged.end * logged.batch,
        seed=logged.seed,
        seconds=logged.seconds,
        gpu_memory=logged.gpu_memory,
        **{key: recorded[key] for key in RECORDED if key in recorded},
    )


def pretraining_result(pretraining: Pretraining, recipe: dict) -> dict[str, Any]:
    """What result.json holds; the curves stay in MMEngine's own files."""
    values = {key: getattr(pretraining, key) for key in ('name', 'sha256', 'chosen', *RECORDED)}
    return {**values, 'checkpoint': Path(pretraining.checkpoint).name, 'recipe': recipe}


def _choose(folder: Path, config: Config) -> tuple[Path, str]:
    """The best checkpoint where the config keeps one, else the last, and why."""
    last = last_checkpoint(folder)
    name = CHECKPOINT.fullmatch(last.name) if last else None
    end = config.train_cfg.max_epochs if by_epoch(config) else config.train_cfg.max_iters
    if last is None or name is None or int(name['number']) != end or not last.is_file():
        raise UnfinishedError(f'{folder}: no checkpoint of the end, {end}')
    for metric in _best_by(config):
        pattern = f'best_{glob.escape(metric.replace("/", "_"))}_{name["unit"]}*.pth'
        # should MMEngine have been killed between the new one and the old one's removal
        best = {
            int(path.stem.rpartition('_')[2]): path
            for path in folder.glob(pattern)
            if zipfile.is_zipfile(path)
        }
        if best:
            return best[max(best)], f'the best by {metric}'
    return last, 'the last'


def _best_by(config: Config) -> list[str]:
    """The measures by which the checkpoint hook keeps a best checkpoint, the first one first."""
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    names = hook.get('save_best') or []
    names = [names] if isinstance(names, str) else list(names)
    pretext = pretext_of(config)
    if names == ['auto']:
        names = [pretext.save_best] if pretext else []
    return [name for name in names if name]


def _name_of_model(config: Config) -> str:
    model = config.model.type
    return model if isinstance(model, str) else model.__name__


def _own_metric(config: Config, val: list[dict]) -> tuple[Measure, ...]:
    """Of a pretraining that is no pretext task, the measure that chooses its best checkpoint."""
    last = {key for key in val[-1] if key not in ('step', 'data_time', 'time')} if val else set()
    names = [name for name in _best_by(config) if name in last] or sorted(last)[:1]
    return tuple(Measure(name, name) for name in names[:1])
