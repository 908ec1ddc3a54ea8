"""A study: several fine-tunings, each of them from several starts, as one file says it.

It is a comparison for each fine-tuning, and all of these share the pretrainings.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hsjp_mm.comparison.budgets import stretch
from hsjp_mm.comparison.execution import Comparison, Outcome
from hsjp_mm.comparison.fine_tuning_config import differences, plain
from hsjp_mm.comparison.labelling_cost import LabellingCost
from hsjp_mm.comparison.logs import Failure
from hsjp_mm.comparison.published import Published
from hsjp_mm.comparison.study_values import check_values
from hsjp_mm.datasets import toy_bodies
from hsjp_mm.utils.configs import read_config
from hsjp_mm.utils.files import make_whole, read_json, write_json

OPTIONS = 'options.json'
"""In a folder of people that were rendered: by which options."""


@dataclass(frozen=True)
class Study:
    """What a study compares. A study's file holds these names at its top level.

    Attributes:
        title: Heading of its pages.
        fine_tunings: By name, a dictionary of ``config``, a path or ``hsjp_mm::…``, and ``starts``,
            names of pretrainings and of ``inits``. It may have ``labels``, ``metric`` and ``rule``
            of its own, and ``options``, changes to its config besides those of all.
        pretrainings: Config of each, by name; or a dictionary of ``config`` and ``options``.
        inits: Checkpoint by name of what is not pretrained here; None for random weights.
        longer: How many times the budget of the others, by name of a start.
        fine_tuning_budget, pretraining_budget: How many times the iterations or epochs that
            configs and options say are trained, with the schedules of the learning rates; above 0.
        labels: Shares of the labels, in (0, 1].
        seeds: One run each.
        metric: What to compare.
        rule: What is better of it, 'greater' or 'less'; by default its name says it, or the
            checkpoint hook of the config, see
            :func:`hsjp_mm.comparison.fine_tuning_config.rule_of`.
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
    rule: str | None
    toy_bodies: Mapping[str, Mapping[str, Any]]
    fine_tuning_options: Mapping[str, Any]
    pretraining_options: Mapping[str, Any]
    published: Mapping[str, Mapping[str, Mapping[float, float]]]
    measured_on: str
    labelling: Mapping[str, Mapping[str, int]]
    seconds: Mapping[str, float]
    folder: Path

    def __post_init__(self) -> None:
        self.labelling_cost()
        for name in self.published:
            self.published_of(name)

    def starts(self, name: str) -> list[str]:
        """Of a fine-tuning."""
        return list(self.fine_tunings[name]['starts'])

    def unused(self) -> list[str]:
        """Pretrainings and other starts that no fine-tuning has, and that nothing comes of."""
        used = {start for name in self.fine_tunings for start in self.starts(name)}
        return [start for start in (*self.pretrainings, *self.inits) if start not in used]

    def metric_of(self, name: str) -> str:
        """What is compared of a fine-tuning."""
        return self.fine_tunings[name].get('metric', self.metric)

    def rule_of(self, name: str) -> str | None:
        """What is better of what is compared; that of all holds for the metric of all."""
        own = self.fine_tunings[name]
        return own.get('rule', None if 'metric' in own else self.rule)

    def published_of(self, name: str) -> Published | None:
        """What a paper reports of a fine-tuning."""
        values = self.published.get(name)
        return Published(values, self.measured_on) if values else None

    def labelling_cost(self) -> LabellingCost | None:
        """What the labels of the starts cost."""
        return LabellingCost(self.labelling, self.seconds) if self.labelling else None


DEFAULTS: dict[str, Any] = dict(
    pretrainings={}, inits={}, longer={}, fine_tuning_budget=1.0, pretraining_budget=1.0,
    labels=[1.0], seeds=[0, 1, 2], rule=None, toy_bodies={}, fine_tuning_options={},
    pretraining_options={}, published={}, measured_on='', labelling={}, seconds={},
)  # fmt: skip
NEEDED = ('title', 'fine_tunings', 'metric')


def read_study(path: str) -> Study:
    """Read a study's file.

    Args:
        path: Of the file, or ``hsjp_mm::study/…``. Paths of configs, checkpoints and backgrounds in
            it are seen from its folder; those in options are left to the configs.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It lacks a name or has another one, a value is not what it must be, or something
            is named that is not there.
    """
    config = read_config(path)
    values = {**DEFAULTS, **config.to_dict()}
    known = [*NEEDED, *DEFAULTS]
    if missing := [name for name in NEEDED if name not in values]:
        raise ValueError(f'{path}: {", ".join(missing)} must be set, of {", ".join(known)}')
    if odd := [name for name in values if name not in known]:
        raise ValueError(f'{path}: {", ".join(map(str, odd))} must be one of {", ".join(known)}')
    try:
        check_values(values)
        return Study(**values, folder=Path(config.filename).resolve().parent)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def render_data(study: Study, folder: Path, track: Callable = iter, workers: int = 1) -> None:
    """Render what a study's configs are trained on, as far as it is not there.

    Args:
        study: Which says what to render.
        folder: Where to.
        track: Shows progress, see :func:`hsjp_mm.datasets.toy_bodies.render`.
        workers: Processes that draw.

    Raises:
        ValueError: What is there was rendered by other options.
    """
    for name, options in study.toy_bodies.items():
        place, own = _place(name, folder), dict(options)
        if own.get('backgrounds'):
            own['backgrounds'] = seen_from(study.folder, own['backgrounds'])
        render = partial(toy_bodies.render, progress=track, workers=workers, **own)
        all_options = _all_options(options)
        make_whole(place, partial(_render_and_record, render, all_options))
        _require_rendered_so(name, place, all_options)


def _all_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a study gives and the defaults of the others, but for how it is drawn."""
    parameters = inspect.signature(toy_bodies.render).parameters
    defaults = {
        name: one.default
        for name, one in parameters.items()
        if one.default is not one.empty and name not in ('progress', 'workers')
    }
    return plain({**defaults, **options})


def _render_and_record(render: Callable, options: Mapping[str, Any], folder: Path) -> None:
    render(folder)
    write_json(folder / OPTIONS, options)


def _require_rendered_so(name: str, place: Path, options: Mapping[str, Any]) -> None:
    """Refuse data of other options, as far as they were recorded; version 0.1 did not."""
    if not (place / OPTIONS).is_file():
        return
    recorded = read_json(place / OPTIONS, 'options')
    if changed := list(differences(recorded, options)):
        raise ValueError(
            f'toy_bodies[{name!r}]: {place} was rendered by other options (there, now): '
            f'{"; ".join(changed)}. Ask for what they were, take another folder, or put this one '
            'aside to render anew'
        )


def _place(name: str, folder: Path) -> Path:
    """Where the data are that configs call by a name such as 'data/toy/'."""
    return folder / Path(name).name


def seen_from(folder: Path, path: str) -> str:
    """A path that a file in a folder names; addresses and paths of packages as they are."""
    if '://' in path or '::' in path:
        return path
    return str(folder / Path(path).expanduser())


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
        config = moved(read_config(seen_from(study.folder, path), options), data)
        stretch(config, budget)
        return config

    inits = {
        name: checkpoint and seen_from(study.folder, checkpoint)
        for name, checkpoint in study.inits.items()
    }
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
            {start: inits[start] for start in given['starts'] if start in inits},
            {start: pretrainings[start] for start in given['starts'] if start in pretrainings},
            given.get('labels', study.labels),
            study.seeds,
            folder / name,
            metric=study.metric_of(name),
            rule=study.rule_of(name),
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
    outcomes: dict[str, Outcome] = {}
    failures: list[Failure] = []
    for name, comparison in found.items():
        tell(f'{name}:')
        outcomes[name] = comparison.run(jobs, rerun, tell, failures)
        failures += outcomes[name].failures
    return outcomes
