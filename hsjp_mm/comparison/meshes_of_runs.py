"""Bodies that the fine-tunings of mesh regressors predict, side by side on the same persons.

The persons are those of a few drawn by chance that are hardest for all initialisations together: no
initialisation chooses them, and failures are seen.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, METRICS, MODELS, DefaultScope

from hsjp_mm.checkpoint import load_model
from hsjp_mm.comparison.fine_tuning_config import evaluators_of
from hsjp_mm.comparison.gallery import (
    UNDRAWABLE,
    Pictures,
    caption_of,
    checkpoint_left,
    chosen_runs,
)
from hsjp_mm.comparison.logs import last_config, reason_of
from hsjp_mm.comparison.pretrainings import model_class
from hsjp_mm.comparison.runs import FineTuning, percent
from hsjp_mm.evaluation import MeshError
from hsjp_mm.models.pose_estimators.mesh_estimator import BodyEstimator
from hsjp_mm.ops.subsets import subset_order
from hsjp_mm.visualization.mesh_comparison import SeenPerson, bodies_board, parts_board
from hsjp_mm.visualization.mesh_predictions import (
    attention_of,
    crops_of,
    image_of,
    labelled_vertices,
    placed_vertices,
    predict_with_parts,
)

DRAWN, SHOWN, SEED = 16, 4, 0
"""Persons who are drawn by chance, those of them who are shown, and the seed."""
PARTS = ('head', 'left_elbow', 'right_wrist', 'left_knee', 'right_ankle')
"""Whose attention is shown, where a head has them; else that of its first parts."""


@dataclass(frozen=True)
class Bodies:
    """What is shown of mesh regressors.

    Attributes:
        note: Who is shown, and how they were chosen.
        bodies: A board for each person, a column for each initialisation.
        attention: A board for each person, a row for each initialisation whose head tells parts.
        undrawn: What is missing, and why, in sentences.
    """

    note: str = ''
    bodies: Pictures = field(default_factory=list)
    attention: Pictures = field(default_factory=list)
    undrawn: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Predicted:
    """What a run makes of a person: the data sample, what the network sees, errors in mm."""

    sample: Any
    crop: np.ndarray
    error: float
    aligned: float


def predict_bodies(runs: Sequence[FineTuning]) -> bool:
    """Whether the model that was fine-tuned predicts bodies, as far as a work folder tells."""
    try:
        cls = model_class(last_config(runs[0].folder))
    except UNDRAWABLE:
        return False
    return cls is not None and issubclass(cls, BodyEstimator)


def bodies_of(runs: Sequence[FineTuning]) -> Bodies:
    """Predict the same persons by one run of each initialisation, and draw them.

    It is the run of most labels, and of these that of the lowest seed, from its last checkpoint and
    the config that it logged, on the CPU. What cannot be drawn is told.
    """
    undrawn: list[str] = []
    found: dict[str, list[_Predicted | None]] = {}
    model = None
    chosen = chosen_runs(runs)
    for name, run in chosen.items():
        try:
            model, found[name] = _predict(run)
        except UNDRAWABLE as error:
            undrawn.append(f'No bodies of {name} are drawn: {reason_of(error)}.')
    if model is None:
        return Bodies(undrawn=undrawn)
    return _draw(found, model, _which([chosen[name] for name in found]), undrawn)


def _which(runs: Sequence[FineTuning]) -> str:
    """Shares of the labels and seeds of runs, once if all have the same."""
    alike = {(run.fraction, run.seed) for run in runs}
    if len(alike) > 1:
        return '; '.join(map(caption_of, runs))
    return f'{percent(runs[0].fraction)} of the labels, seed {runs[0].seed}'


def _predict(run: FineTuning) -> tuple[BodyEstimator, list[_Predicted | None]]:
    """What a run makes of the persons drawn by chance, None of those who cannot be measured."""
    config = last_config(run.folder)
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmpose')):
        model = _load(config, checkpoint_left(run))
        dataset = DATASETS.build(copy.deepcopy(config.val_dataloader.dataset))
        metric = _metric(config)
        model.prepare(dataset)
        metric.dataset_meta = dataset.metainfo
        places = subset_order(range(len(dataset)), SEED)[:DRAWN]
        found = [_look(model, metric, dataset[place]) for place in places]
    if all(one is None for one in found):
        raise ValueError(f'none of {len(places)} persons has the labels that are measured')
    return model, found


def _load(config: Config, checkpoint: Path) -> BodyEstimator:
    settings = copy.deepcopy(config.model)
    settings.backbone.init_cfg = None
    model = MODELS.build(settings).eval()
    load_model(model, checkpoint)
    return model


def _metric(config: Config) -> MeshError:
    """The measure of joints in 3D that the run was evaluated by."""
    for settings in evaluators_of(config):
        cls = METRICS.get(settings['type'])
        if isinstance(cls, type) and issubclass(cls, MeshError):
            return METRICS.build(copy.deepcopy(settings))
    raise ValueError('the evaluation has no hsjp_mm.MeshError, which measures each person')


@torch.no_grad()
def _look(model: BodyEstimator, metric: MeshError, data: Mapping[str, Any]) -> _Predicted | None:
    batch = pseudo_collate([data])
    (sample,) = predict_with_parts(model, batch)
    measured = metric.measure(sample.to_dict())
    if measured['errors'] is None:
        return None
    error, aligned = (float(measured[key].mean()) for key in ('errors', 'aligned'))
    return _Predicted(sample, crops_of(model, batch)[0], error, aligned)


def _seen(model: BodyEstimator, sample: Any) -> SeenPerson:
    center_x, center_y, side = np.asarray(sample.metainfo['crop'], float)
    labels = sample.gt_instances
    truth = labelled_vertices(model, sample)
    placed = truth is not None and bool(labels.has_translation.all())
    if placed:
        truth = truth + labels.translation.cpu().numpy()
    half = side / 2
    return SeenPerson(
        image_of(sample),
        np.asarray(sample.metainfo['camera'], float),
        np.array([center_x - half, center_y - half, center_x + half, center_y + half]),
        truth,
        placed,
    )


def _draw(
    found: Mapping[str, Sequence[_Predicted | None]],
    model: BodyEstimator,
    runs: str,
    undrawn: list[str],
) -> Bodies:
    measured = [
        dict(zip(found, of_all, strict=True))
        for of_all in zip(*found.values(), strict=True)
        if None not in of_all
    ]
    means = [float(np.mean([one.aligned for one in person.values()])) for person in measured]
    worst = sorted(range(len(means)), key=lambda i: -means[i])[:SHOWN]
    note = (
        f'The {len(worst)} of {len(means)} persons with the greatest mean PA-MPJPE over these '
        f'runs. The {len(means)} were drawn by chance from the validation set (seed {SEED}), and '
        f'their median is {np.median(means):.0f} mm: these are failures, not what is usual. '
        f'The runs: {runs}.'
    )
    bodies: Pictures = []
    attention: Pictures = []
    for number, i in enumerate(worst, 1):
        try:
            caption = _caption(number, measured[i], means[i])
            bodies.append((caption, _bodies_board(measured[i], model)))
            if model.part_names:
                attention.append((caption, _parts_board(measured[i], model)))
        except UNDRAWABLE as error:
            undrawn.append(f'Person {number} is not drawn whole: {reason_of(error)}.')
    return Bodies(note, bodies, attention, undrawn)


def _caption(number: int, person: Mapping[str, _Predicted], mean: float) -> str:
    facts = next(iter(person.values())).sample.metainfo
    name = Path(facts['img_path']).name
    return f'{number}. {name}, id {facts["id"]}: PA-MPJPE {mean:.0f} mm, the mean of the runs'


def _bodies_board(person: Mapping[str, _Predicted], model: BodyEstimator) -> np.ndarray:
    columns = {
        name: (
            placed_vertices(one.sample),
            (f'PA-MPJPE {one.aligned:.0f} mm', f'MPJPE {one.error:.0f} mm'),
        )
        for name, one in person.items()
    }
    seen = _seen(model, next(iter(person.values())).sample)
    return bodies_board(seen, columns, model.body.faces.cpu().numpy())


def _parts_board(person: Mapping[str, _Predicted], model: BodyEstimator) -> np.ndarray:
    names = model.part_names
    parts = [part for part in PARTS if part in names] or list(names[: len(PARTS)])
    places = [names.index(part) for part in parts]
    return parts_board(
        {name: one.crop for name, one in person.items()},
        {name: attention_of(one.sample)[places] for name, one in person.items()},
        parts,
    )
