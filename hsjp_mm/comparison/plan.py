"""What a comparison runs: pretrainings, then one fine-tuning from each, over shares and seeds.

All is laid out, and what would fail in each is looked for, before the first one starts. A run's
*recipe* is all that decides on its result.
"""

import copy
import functools
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, MODELS, DefaultScope

from hsjp_mm.checkpoint import audit
from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.comparison.budgets import lengthen
from hsjp_mm.comparison.fine_tuning_config import (
    backbone_of,
    by_epoch,
    checkpoint_of,
    evaluators_of,
    plain,
    protocol_of,
    require_metric,
    require_names,
    rule_of,
    settings_of,
    whole_checkpoint_of,
)
from hsjp_mm.comparison.planned_runs import Init, PlannedFineTuning, PlannedPretraining
from hsjp_mm.comparison.pretrainings import followed_metric
from hsjp_mm.comparison.recipes import RECIPE_VERSION, data_hashes, loaded_hashes

NAME = re.compile(r'(?!\.\.?\Z)[\w.+-]+')
NAME_RULE = 'a name of letters, digits and . + - _, and neither . nor ..'
"""What an initialisation may be called, for there is a folder of that name."""
SAMPLER = 'hsjp_mm.FixedLengthSampler'
SEED_HOOKS = ('SeedHook', 'EpochSeedHook')


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
            f'init={text!r} must be scratch, NAME=scratch or NAME=CHECKPOINT, with {NAME_RULE}'
        )
    return name, None if source == 'scratch' else source


def parse_pretraining(text: str) -> tuple[str, str]:
    """Read ``NAME=CONFIG``: name, and path of the config.

    Raises:
        ValueError: Anything else.
    """
    name, _, path = text.partition('=')
    if not path or not NAME.fullmatch(name):
        raise ValueError(f'pretrain={text!r} must be NAME=CONFIG, with {NAME_RULE}')
    return name, path


def plan_pretrainings(
    configs: Mapping[str, Config], work_dir: str | Path, processes: int = 1
) -> list[PlannedPretraining]:
    """Lay out the pretrainings: one of each, in WORK/NAME/pretraining.

    Args:
        configs: By name; of pretext tasks, or of any other training of a model with a backbone. A
            config without a seed gets 0, and one without SeedHook gets it.
        work_dir: Folder of the runs' folders.
        processes: Of torchrun, each with the batch size of the config; 1 for none.

    Raises:
        ValueError: A config that is no training.
        FileNotFoundError: A file or folder of its data, or a checkpoint it starts from, is missing.
    """
    runs = []
    for name, given in configs.items():
        require_names(given)
        config = copy.deepcopy(given)
        _require_training(config)
        _log_by_iterations(config)
        _resume_exactly(config)
        with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmpose')):
            iterations = _iterations(config, processes)
        randomness = config.setdefault('randomness', ConfigDict())
        if randomness.get('seed') is None:
            randomness.seed = 0
        recipe = {
            'version': RECIPE_VERSION,
            'processes': processes,
            'data': data_hashes(config),
            'starts from': loaded_hashes(config),
            'settings': settings_of(config),
        }
        folder = Path(work_dir, name, 'pretraining').resolve()
        runs.append(
            PlannedPretraining(
                folder, config, plain(recipe), iterations, processes, followed_metric(config), name
            )
        )
    return runs


def require_fitting(config: Config, pretrainings: Iterable[PlannedPretraining]) -> None:
    """Refuse pretrainings whose backbone a fine-tuning could not load, before they are run.

    Raises:
        CheckpointError: Another backbone.
    """
    for run in pretrainings:
        with DefaultScope.overwrite_default_scope(run.config.get('default_scope', 'mmpose')):
            model = MODELS.build(copy.deepcopy(run.config.model))
        # weights that were never drawn may be anything
        state = {
            name: torch.zeros_like(value) if value.is_floating_point() else value
            for name, value in model.state_dict().items()
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'model.pth')
            torch.save({'state_dict': state}, path)
            _check_init(config, run.name, str(path), f'its config {run.config.filename}')


def plan(
    config: Config,
    inits: Mapping[str, str | None],
    fractions: Sequence[float],
    seeds: Sequence[int],
    work_dir: str | Path,
    processes: int = 1,
    metric: str = 'coco/AP',
    rule: str | None = None,
    longer: Mapping[str, int] | None = None,
) -> list[PlannedFineTuning]:
    """Lay out the fine-tunings, in WORK/INIT/labels-FRACTION/seed-SEED.

    All have the same budget, but for those of ``longer``: the config's iterations at its batch
    size, whatever the share of the labels. A config that counts iterations is left as it is; of one
    that counts epochs, an epoch takes as many images as one of all labels, see FixedLengthSampler.
    Seed s draws the weights that are not loaded and the order of the data, and chooses the labels
    (``LabelSubset``, by images, of each part of a combined data set): the initialisations are
    compared on the same labels. A config without SeedHook gets it, for a run that was stopped and
    resumed counts like the others.

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
        longer: How many times the budget of the others, by name of the initialisation, see
            :func:`hsjp_mm.comparison.budgets.lengthen`.

    Returns:
        The runs, seed by seed, so that what is there half way is already balanced.

    Raises:
        ValueError: An argument outside its range, or a config that cannot be compared so.
        FileNotFoundError: A checkpoint or an annotation file is missing.
        CheckpointError: A checkpoint does not fit the backbone.
    """
    longer = longer or {}
    _check(inits, fractions, seeds, processes, longer)
    require_names(config)
    rule = rule_of(config, metric, rule)
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmpose')):
        _require_training(config)
        require_metric(config, metric)
        data = data_hashes(config)
        if min(fractions) < 1:
            share = _subset(config.train_dataloader.dataset, min(fractions), 0)
            _require_share(json.dumps(plain(share)), json.dumps(data))
        config = _prepare(config)
        found = [_check_init(config, name, checkpoint) for name, checkpoint in inits.items()]
        iterations = _iterations(config, processes)
    runs = []
    for seed in seeds:
        for fraction in fractions:
            for init in found:
                labels = f'labels-{_short(fraction)}'
                folder = Path(work_dir, init.name, labels, f'seed-{seed}').resolve()
                times = longer.get(init.name, 1)
                own = _with(config, init, fraction, seed, folder, times)
                recipe = {
                    'version': RECIPE_VERSION,
                    'init': init.sha256 or {'random weights': _drawn(own)},
                    'labels': fraction,
                    'seed': seed,
                    'processes': processes,
                    'data': data,
                    'protocol': protocol_of(own),
                    **({'budget': times} if times > 1 else {}),
                }
                runs.append(
                    PlannedFineTuning(
                        folder, own, plain(recipe), iterations * times, processes, metric,
                        init, fraction, seed, rule,
                    )
                )  # fmt: skip
    return runs


def _check(
    inits: Mapping[str, str | None],
    fractions: Sequence[float],
    seeds: Sequence[int],
    processes: int,
    longer: Mapping[str, int],
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
    for name, times in longer.items():
        if name not in inits:
            raise ValueError(f'longer: {name} must be an initialisation, one of {" ".join(inits)}')
        if times < 1 or times != int(times):
            raise ValueError(f'longer: {name}={times} must be a whole number from 1 on')


def _short(fraction: float) -> str:
    """A share in the name of a folder: ``0.1``, ``1``; in full if six digits do not tell it."""
    short = f'{fraction:g}'
    return short if float(short) == fraction else repr(fraction)


def _require_training(config: Config) -> None:
    missing = [key for key in ('train_dataloader', 'train_cfg') if key not in config]
    if missing:
        raise ValueError(f'config {config.filename!r} lacks {", ".join(missing)}')
    backbone_of(config)
    if not config.train_dataloader.get('batch_size'):
        raise ValueError('train_dataloader.batch_size is needed, to count the images seen')


@functools.lru_cache
def _require_share(dataset: str, data: str) -> None:
    """See that a share of a data set is one: it can be wrapped, and is not nothing.

    Args:
        dataset: the config, as JSON.
        data: the hashes of its files, as JSON; of the same files a data set is loaded once.
    """
    DATASETS.build(json.loads(dataset))


def _prepare(config: Config) -> Config:
    """What all fine-tunings have in common."""
    config = copy.deepcopy(config)
    if 'val_evaluator' not in config:
        raise ValueError(f'config {config.filename!r} lacks val_evaluator')
    if config.get('resume') or whole_checkpoint_of(config):
        raise ValueError(
            'load_from, resume and a checkpoint in model.init_cfg would initialise the whole '
            'model, from whatever start; leave them out'
        )
    if checkpoint_of(config) is not None:
        config.model.backbone.init_cfg = None
    dataset = config.train_dataloader.dataset
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
    _log_by_iterations(config)
    _resume_exactly(config)
    return config


def _log_by_iterations(config: Config) -> None:
    """Let the evaluations of a loop of iterations be logged by these."""
    if not by_epoch(config):
        hooks = config.setdefault('default_hooks', ConfigDict())
        logger = hooks.setdefault('logger', ConfigDict(type='LoggerHook'))
        logger.log_metric_by_epoch = False


def _resume_exactly(config: Config) -> None:
    """Let a run that is stopped and resumed come to what it would have come to."""
    hooks = config.get('custom_hooks') or []
    if not any(str(hook.get('type')).endswith(SEED_HOOKS) for hook in hooks):
        config.custom_hooks = [*hooks, ConfigDict(type='hsjp_mm.SeedHook')]


def _iterations(config: Config, processes: int) -> int:
    """The iterations of a config, which builds the data set where epochs are counted."""
    if not by_epoch(config):
        return config.train_cfg.max_iters
    loader = config.train_dataloader
    number = loader.get('sampler', {}).get('num_samples')
    if number is None:
        number = len(DATASETS.build(copy.deepcopy(loader.dataset)))
    own = -(-number // processes)
    size = loader.batch_size
    return config.train_cfg.max_epochs * (
        own // size if loader.get('drop_last') else -(-own // size)
    )


def _check_init(config: Config, name: str, checkpoint: str | None, shown: str = '') -> Init:
    """Compare a checkpoint with the backbone; ``shown`` is what to call it in a message."""
    if checkpoint is None:
        return Init(name, None)
    if '://' not in checkpoint:
        checkpoint = str(Path(checkpoint).expanduser().resolve())
    backbone = copy.deepcopy(backbone_of(config))
    backbone.pop('init_cfg', None)
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmpose')):
        coverage, _ = audit(MODELS.build(backbone), checkpoint)
    if not coverage.ok:
        raise CheckpointError(
            f'init {name}: {shown or checkpoint} does not fit the backbone.\n{coverage.line()}\n'
            f'{coverage.report()}'
        )
    return Init(name, checkpoint, coverage.sha256, coverage.line())


def _subset(dataset: dict, fraction: float, seed: int) -> ConfigDict:
    return ConfigDict(
        type='hsjp_mm.LabelSubset', dataset=dataset, fraction=fraction, by='images', seed=seed
    )


def _with(
    config: Config, init: Init, fraction: float, seed: int, folder: Path, times: int
) -> Config:
    """The config of a run."""
    config = copy.deepcopy(config)
    lengthen(config, times)
    if init.checkpoint:
        config.model.backbone.init_cfg = ConfigDict(
            type='hsjp_mm.PretextInit', checkpoint=init.checkpoint
        )
    if fraction < 1:
        loader = config.train_dataloader
        loader.dataset = _subset(loader.dataset, fraction, seed)
    config.setdefault('randomness', ConfigDict()).seed = seed
    keeping = [
        evaluator for evaluator in evaluators_of(config) if 'CocoMetric' in evaluator['type']
    ]
    if len(keeping) == 1:  # several would write to one file
        keeping[0]['outfile_prefix'] = str(folder / 'predictions')
    return config


def _drawn(config: Config) -> Any:
    """How random weights are drawn."""
    return config.model.backbone.get('init_cfg', 'by the defaults of the backbone')
