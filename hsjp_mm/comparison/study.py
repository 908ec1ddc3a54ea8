"""A study: several fine-tunings, each of them from several starts, as one file says it.

It is a comparison for each fine-tuning, and all of these share the pretrainings.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hsjp_mm.comparison.budgets import stretch
from hsjp_mm.comparison.execution import Comparison, Outcome
from hsjp_mm.comparison.labelling_cost import LabellingCost
from hsjp_mm.comparison.plan import NAME
from hsjp_mm.comparison.published import Published
from hsjp_mm.datasets import toy_bodies
from hsjp_mm.utils.configs import read_config
from hsjp_mm.utils.files import make_whole

FINE_TUNING_KEYS = ('config', 'starts')
OPTIONAL_KEYS = ('labels', 'metric', 'options')
PRETRAINING_KEYS = ('config', 'options')


@dataclass(frozen=True)
class Study:
    """What a study compares. A study's file holds these names at its top level.

    Attributes:
        title: Heading of its pages.
        fine_tunings: By name, a dictionary of ``config``, a path or ``hsjp_mm::…``, and ``starts``,
            names of pretrainings and of ``inits``. It may have ``labels`` and ``metric`` of its
            own, and ``options``, changes to its config besides those of all.
        pretrainings: Config of each, by name; or a dictionary of ``config`` and ``options``.
        inits: Checkpoint by name of what is not pretrained here; None for random weights.
        longer: How many times the budget of the others, by name of a start.
        fine_tuning_budget, pretraining_budget: How many times the iterations or epochs that
            configs and options say are trained, with the schedules of the learning rates; above 0.
        labels: Shares of the labels, in (0, 1].
        seeds: One run each.
        metric: What to compare.
        toy_bodies: Data to render first: arguments of :func:`hsjp_mm.datasets.toy_bodies.render`
            by the folder that the configs call it.
        fine_tuning_options, pretraining_options: Changes to every config, by dotted key.
        published, measured_on: What a paper reports, by name of the fine-tuning, see
            :class:`hsjp_mm.comparison.published.Published`.
        labelling, seconds: See :class:`hsjp_mm.comparison.labelling_cost.LabellingCost`.
        folder: Of the file.

    Raises:
        ValueError: What the parts refuse.

    Examples:
        >>> title = 'HSJP for our own camera'
        >>> pretrainings = dict(hsjp='hsjp_mm::hsjp/hsjp_res50_4xb64-240e_coco-224x224.py')
        >>> inits = dict(scratch=None)
        >>> fine_tunings = dict(
        ...     PARE=dict(config='my_pare.py', starts=['scratch', 'hsjp']),
        ...     HMR=dict(config='my_hmr.py', starts=['scratch', 'hsjp']),
        ... )
        >>> labels, seeds, metric = [0.1, 1.0], [0, 1, 2], 'mesh/PA-MPJPE'
    """

    title: str
    fine_tunings: Mapping[str, Mapping[str, Any]]
    pretrainings: Mapping[str, Any]
    inits: Mapping[str, str | None]
    longer: Mapping[str, int]
    fine_tuning_budget: float
    pretraining_budget: float
    labels: Sequence[float]
    seeds: Sequence[int]
    metric: str
    toy_bodies: Mapping[str, Mapping[str, Any]]
    fine_tuning_options: Mapping[str, Any]
    pretraining_options: Mapping[str, Any]
    published: Mapping[str, Mapping[str, Mapping[float, float]]]
    measured_on: str
    labelling: Mapping[str, Mapping[str, int]]
    seconds: Mapping[str, float]
    folder: Path

    def __post_init__(self) -> None:
        for name in ('fine_tuning_budget', 'pretraining_budget'):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name}={getattr(self, name)} must be above 0')
        self.labelling_cost()
        for name in self.published:
            self.published_of(name)

    def starts(self, name: str) -> list[str]:
        """Of a fine-tuning."""
        return list(self.fine_tunings[name]['starts'])

    def metric_of(self, name: str) -> str:
        """What is compared of a fine-tuning."""
        return self.fine_tunings[name].get('metric', self.metric)

    def published_of(self, name: str) -> Published | None:
        """What a paper reports of a fine-tuning."""
        values = self.published.get(name)
        return Published(values, self.measured_on) if values else None

    def labelling_cost(self) -> LabellingCost | None:
        """What the labels of the starts cost."""
        return LabellingCost(self.labelling, self.seconds) if self.labelling else None


DEFAULTS: dict[str, Any] = dict(
    pretrainings={}, inits={}, longer={}, fine_tuning_budget=1.0, pretraining_budget=1.0,
    labels=[1.0], seeds=[0, 1, 2], toy_bodies={}, fine_tuning_options={}, pretraining_options={},
    published={}, measured_on='', labelling={}, seconds={},
)  # fmt: skip
NEEDED = ('title', 'fine_tunings', 'metric')


def read_study(path: str) -> Study:
    """Read a study's file.

    Args:
        path: Of the file, or ``hsjp_mm::study/…``; paths in it are seen from its folder.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It lacks a name, has another one, or a fine-tuning starts from what is not
            there.
    """
    config = read_config(path)
    values = {**DEFAULTS, **config.to_dict()}
    known = [*NEEDED, *DEFAULTS]
    if missing := [name for name in NEEDED if name not in values]:
        raise ValueError(f'{path}: {", ".join(missing)} must be set, of {", ".join(known)}')
    if odd := [name for name in values if name not in known]:
        raise ValueError(f'{path}: {", ".join(odd)} must be one of {", ".join(known)}')
    study = Study(**values, folder=Path(config.filename).resolve().parent)
    for name, given in study.fine_tunings.items():
        if not NAME.fullmatch(name) or not _has(given, FINE_TUNING_KEYS, OPTIONAL_KEYS):
            raise ValueError(
                f'{path}: fine_tunings[{name!r}] must have a name of letters, digits and . + - _, '
                f'the keys {" and ".join(FINE_TUNING_KEYS)}, and no others but '
                f'{", ".join(OPTIONAL_KEYS)}'
            )
        there = [*study.inits, *study.pretrainings]
        if unknown := [start for start in given['starts'] if start not in there]:
            raise ValueError(
                f'{path}: fine_tunings[{name!r}] starts from {", ".join(unknown)}, which must be '
                f'one of {", ".join(there)}'
            )
    for name, given in study.pretrainings.items():
        if not isinstance(given, str) and not _has(given, PRETRAINING_KEYS[:1], PRETRAINING_KEYS):
            raise ValueError(
                f'{path}: pretrainings[{name!r}]={given} must be the path of a config, or have the '
                f'keys {" and ".join(PRETRAINING_KEYS)}'
            )
    return study


def _has(given: Any, needed: Sequence[str], optional: Sequence[str]) -> bool:
    """Whether a dictionary has all needed keys, and no others but the optional ones."""
    return isinstance(given, Mapping) and set(needed) <= set(given) <= {*needed, *optional}


def render_data(study: Study, folder: Path, track: Callable = iter, workers: int = 1) -> None:
    """Render what a study's configs are trained on, as far as it is not there.

    Args:
        study: Which says what to render.
        folder: Where to.
        track: Shows progress, see :func:`hsjp_mm.datasets.toy_bodies.render`.
        workers: Processes that draw.
    """
    for name, options in study.toy_bodies.items():
        render = partial(toy_bodies.render, progress=track, workers=workers, **options)
        make_whole(_place(name, folder), render)


def _place(name: str, folder: Path) -> Path:
    """Where the data are that configs call by a name such as 'data/toy/'."""
    return folder / Path(name).name


def comparisons(study: Study, folder: Path) -> dict[str, Comparison]:
    """The comparison of each fine-tuning, by its name.

    Args:
        study: To be run.
        folder: Of all its files; the rendered data are in ``data`` in it.

    Raises:
        FileNotFoundError, ValueError: A config that cannot be read.
    """
    data = {name: f'{_place(name, folder / "data")}/' for name in study.toy_bodies}

    def read(path: str, options: Mapping[str, Any], budget: float) -> Config:
        here = path if '::' in path or Path(path).is_absolute() else str(study.folder / path)
        config = moved(read_config(here, options), data)
        stretch(config, budget)
        return config

    pretrainings = {}
    for name, given in study.pretrainings.items():
        own: dict[str, Any] = {'config': given} if isinstance(given, str) else given
        options = {**study.pretraining_options, **own.get('options', {})}
        pretrainings[name] = read(own['config'], options, study.pretraining_budget)
    return {
        name: Comparison(
            read(
                given['config'],
                {**study.fine_tuning_options, **given.get('options', {})},
                study.fine_tuning_budget,
            ),
            {start: study.inits[start] for start in given['starts'] if start in study.inits},
            {start: pretrainings[start] for start in given['starts'] if start in pretrainings},
            given.get('labels', study.labels),
            study.seeds,
            folder / name,
            metric=study.metric_of(name),
            longer={k: times for k, times in study.longer.items() if k in given['starts']},
            pretraining_dir=folder / 'pretrainings',
        )
        for name, given in study.fine_tunings.items()
    }


def moved(config: Config, folders: Mapping[str, str]) -> Config:
    """A config whose paths that begin with one of some folders begin with another one instead."""
    config = copy.deepcopy(config)

    def move(value: Any) -> Any:
        if isinstance(value, dict):
            for key in value:
                value[key] = move(value[key])
        elif isinstance(value, list | tuple):
            return type(value)(map(move, value))
        elif isinstance(value, str):
            for name, folder in folders.items():
                if value.startswith(name):
                    return folder + value.removeprefix(name)
        return value

    for key in config:
        config[key] = move(config[key])
    return config


def run_study(
    found: Mapping[str, Comparison],
    jobs: int = 1,
    rerun: bool = False,
    tell: Callable[[str], None] = print,
) -> dict[str, Outcome]:
    """Run what is not finished of all comparisons, after all have been checked.

    Args:
        found: From :func:`comparisons`.
        jobs, rerun, tell: See :meth:`Comparison.run`.

    Raises:
        ValueError, FileNotFoundError, CheckpointError: Before anything is run.
    """
    for comparison in found.values():
        comparison.check(rerun)
    outcomes = {}
    for name, comparison in found.items():
        tell(f'{name}:')
        outcomes[name] = comparison.run(jobs, rerun, tell)
    return outcomes
