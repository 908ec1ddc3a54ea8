"""The demo's report by the names of version 0.1, until 1.0; it is written by that of today."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hsjp_mm.comparison.logs import merge_scalars
from hsjp_mm.comparison.pretrainings import Pretraining
from hsjp_mm.comparison.report import write_comparison
from hsjp_mm.comparison.runs import FineTuning
from hsjp_mm.models.pretext import HSJP, JigClu
from hsjp_mm.models.pretext.base import PretextModel

TASKS: dict[str, type[PretextModel]] = {'hsjp': HSJP, 'jigclu': JigClu}
"""The tasks that version 0.1 had."""


@dataclass
class Run:
    """What a training left in its work folder.

    Attributes:
        name: For legends.
        train: The logged scalars of training, one dict a line, with ``step``.
        val: Those of the evaluations.
        seconds: How long it took.
        command: What was run.
        notes: Lines worth showing, such as the coverage of the initialisation.
    """

    name: str
    train: list[dict]
    val: list[dict]
    seconds: float
    command: str
    notes: list[str] = field(default_factory=list)


def read_scalars(work_dir: str | Path) -> tuple[list[dict], list[dict]]:
    """Read the newest run's logged scalars of a work folder: training and evaluation.

    Raises:
        FileNotFoundError: The folder holds no run.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{work_dir} holds no finished run (*/vis_data/scalars.json)')
    return merge_scalars(files[-1:])


def measured(run: Run) -> list[tuple[str, str, str]]:
    """Read what a pretraining came to: label, value and chance level ('' where there is none).

    Raises:
        ValueError: The evaluation is of no task of version 0.1.
    """
    return _pretraining(run).rows()


def write_report(
    path: str | Path,
    title: str,
    pretext: Run,
    finetunings: list[Run],
    boards: list[tuple[str, np.ndarray]],
    poses: list[tuple[str, np.ndarray]],
) -> None:
    """Write the report of a pretraining and fine-tunings with ``coco/AP`` in their evaluations."""
    runs = [
        FineTuning(
            run.name, 1.0, 0, run.name, 'coco/AP', 'greater',
            [(line['step'], line['coco/AP']) for line in run.val], run.val[-1]['step'], run.seconds,
            '; '.join(run.notes), '', {}, commands=[run.command],
        )
        for run in finetunings
    ]  # fmt: skip
    pictures = [*boards, *poses]
    write_comparison(path, title, runs, pretrainings=[_pretraining(pretext)], poses=pictures)


def _pretraining(run: Run) -> Pretraining:
    prefixes = {key.partition('/')[0] for key in run.val[-1]}
    task = next((cls for name, cls in TASKS.items() if name in prefixes), None)
    if task is None:
        names = ', '.join(f'{name}/…' for name in TASKS)
        raise ValueError(
            f'the evaluation of {run.name} holds {", ".join(run.val[-1])}, but none of {names}'
        )
    return Pretraining(
        name=run.name, folder='not recorded', checkpoint='its checkpoint', sha256='not recorded',
        chosen='as given', model=task.__name__, measures=task.measures, health=task.health,
        train=run.train, val=run.val, settings={}, iterations=run.val[-1]['step'], images=0,
        seed=None, seconds=run.seconds, commands=[run.command],
    )  # fmt: skip
