"""What the config of a fine-tuning says to a comparison.

A *protocol* is what must be equal for a comparison to be fair: the config without its
initialisation, its seed and its share of the labels.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmpose.registry import METRICS

from hsjp_mm.comparison.budgets import unstretched
from hsjp_mm.utils.configs import checkpoint_in

PROTOCOL = (
    'model', 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr',
    'custom_hooks', 'load_from', 'randomness', 'val_dataloader', 'val_cfg', 'val_evaluator',
)  # fmt: skip
"""What of a config decides on the result; the rest is about logs and files."""

RULES = ('greater', 'less')
"""What is better of a measure, in the words of MMEngine's CheckpointHook."""
# whole words, with the numbers and letters that the field writes before and after them
_KNOWN = {
    rule: re.compile(rf'(?<![A-Za-z])(?:{words})\d*(?![A-Za-z])', re.IGNORECASE)
    for rule, words in (
        (
            'greater',
            r'm?AP|AR|(?:t|3D)?PCKh?|(?:3D)?AUC|m?IoU|m?acc|accuracy|precision|recall|top|explained',
        ),
        ('less', r'EPE|NME|[A-Z]{0,2}MPJPE|M?PVE|MPVPE|RMSE|MAE|errors?|loss'),
    )
}


def rule_of(config: Config, metric: str, rule: str | None = None) -> str:
    """Find out whether more or less of a measure is better.

    Args:
        config: Its checkpoint hook may say it, as in ``default_hooks = dict(checkpoint=dict(
            save_best='EPE', rule='less'))``; the word for another measure does not count.
        metric: Key of the measure. AP, AR, PCK, PCKh, AUC and accuracies are known to be better
            the greater they are; EPE, NME, MPJPE, PVE, errors and losses the less.
        rule: 'greater' or 'less', whatever the others say.

    Returns:
        'greater' or 'less'.

    Raises:
        ValueError: Nothing says it, or the config contradicts what is known of the measure.
    """
    if rule is not None:
        if rule not in RULES:
            raise ValueError(f'rule={rule!r} must be one of {RULES}')
        return rule
    named = _known_rules(metric.rpartition('/')[2]) or _known_rules(metric)
    found = {_rule_of_hook(config, metric), *named}
    found.discard(None)
    if len(found) == 1:
        return str(found.pop())
    why = (
        'both are said, by the checkpoint hook of the config or by its name'
        if found
        else 'neither the checkpoint hook of the config nor its name says it'
    )
    raise ValueError(
        f'metric={metric!r}: is more of it better, or less? {why}. Say it by `rule`, greater or '
        'less, or write in the config '
        f"default_hooks = dict(checkpoint=dict(save_best={metric!r}, rule='less'))"
    )


def _known_rules(name: str) -> list[str]:
    return [rule for rule in RULES if _KNOWN[rule].search(name)]


def require_metric(config: Config, metric: str) -> None:
    """See that a measure can be one of the evaluation's, as far as the config tells.

    It tells what the names of the measures begin with; how they go on, only an evaluation does.

    Args:
        config: Of the fine-tuning.
        metric: Key of the measure.

    Raises:
        ValueError: No metric of the evaluation has measures of such a name.
    """
    prefixes = {_prefix(evaluator) for evaluator in evaluators_of(config)}
    if prefixes and not any(p is None or metric.startswith(f'{p}/') for p in prefixes):
        allowed = ' or '.join(sorted(f'{prefix}/' for prefix in prefixes))
        raise ValueError(
            f'metric={metric!r} must begin with {allowed}, as the measures of val_evaluator do'
        )


def _prefix(evaluator: Mapping[str, Any]) -> str | None:
    """What its measures begin with; None if nothing, or if its class is not known."""
    cls = METRICS.get(str(evaluator.get('type')))
    return evaluator.get('prefix') or getattr(cls, 'default_prefix', None)


def _rule_of_hook(config: Config, metric: str) -> str | None:
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    metrics, rules = _listed(hook.get('save_best')), _listed(hook.get('rule'))
    if len(rules) == 1:
        rules = rules * max(1, len(metrics))
    if metrics in ([], ['auto']):  # said of no other measure
        metrics = [metric]
    return dict(zip(metrics, rules, strict=False)).get(metric)


def _listed(value: str | list | None) -> list:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def require_names(config: Config) -> None:
    """Refuse a config that names classes themselves, as MMEngine's configs in pure Python do.

    A comparison changes configs, compares them, and writes them down, all by names.

    Raises:
        ValueError: What the first such class is, and where.
    """
    for key, value in _leaves(config):
        if isinstance(value, type) or callable(value):
            name = getattr(value, '__name__', value)
            raise ValueError(
                f'config {config.filename!r}: {key} is {value!r}; comparisons take configs that '
                f'name their parts, such as type={name!r}'
            )


def _leaves(value: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping | Config):
        for name, one in value.items():
            yield from _leaves(one, f'{key}.{name}'.lstrip('.'))
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _leaves(one, f'{key}.{number}')
    else:
        yield key, value


def by_epoch(config: Config) -> bool:
    """Whether the training loop counts epochs."""
    loop = config.train_cfg.get('type', '')
    return 'EpochBased' in loop or (not loop and config.train_cfg.get('by_epoch', True))


def checkpoint_of(config: Config) -> str | None:
    """The checkpoint that the backbone of a config is to load, which may be still empty."""
    return checkpoint_in(config.model.backbone.get('init_cfg'))


def whole_checkpoint_of(config: Config) -> str | None:
    """The checkpoint that the whole model of a config is to load, not to go on from."""
    if config.get('load_from') and not config.get('resume'):
        return config.load_from
    return checkpoint_in(config.model.get('init_cfg'))


def backbone_of(config: Config) -> dict:
    """The config of the backbone.

    Raises:
        ValueError: There is none.
    """
    backbone = (config.get('model') or {}).get('backbone')
    if not backbone:
        raise ValueError(f'config {config.filename!r} lacks model.backbone')
    return backbone


def fraction_of(config: Config) -> float:
    """The share of the labels that a config trains on; of a combined data set, of each part.

    Raises:
        ValueError: It is given as a number, or differs from part to part.
    """
    found = list(_fractions(config.train_dataloader.dataset))
    fractions = {fraction for fraction in found if fraction is not None}
    if None in found:
        raise ValueError('runs are compared by fraction of the labels, this one has a number')
    if len(fractions) > 1:
        raise ValueError(
            'runs are compared by fraction of the labels, and the parts of this combined data set '
            f'have several: {", ".join(map(str, sorted(fractions)))}'
        )
    return fractions.pop()


def _fractions(dataset: Mapping) -> Iterator[float | None]:
    """Of each data set inside a wrapper; all of one that no LabelSubset wraps."""
    if _is_subset(dataset):
        yield dataset.get('fraction')
    elif parts := _parts(dataset):
        for part in parts:
            yield from _fractions(part)
    else:
        yield 1.0


def _parts(dataset: Mapping) -> list[Mapping]:
    """What a data set wraps: parts of CombinedDataset, or the one of RepeatDataset."""
    parts = dataset.get('datasets') or dataset.get('dataset') or []
    return [parts] if isinstance(parts, Mapping) else list(parts)


def _is_subset(dataset: Mapping) -> bool:
    return str(dataset.get('type', '')).endswith('LabelSubset')


def _whole(dataset: Any) -> Any:
    """A data set without the LabelSubsets in it."""
    if _is_subset(dataset):
        return _whole(dataset['dataset'])
    if isinstance(dataset.get('dataset'), Mapping):
        dataset['dataset'] = _whole(dataset['dataset'])
    if isinstance(dataset.get('datasets'), list):
        dataset['datasets'] = [_whole(part) for part in dataset['datasets']]
    return dataset


def settings_of(config: Config) -> dict[str, Any]:
    """All of a config that decides on what a training comes to, plain values."""
    values = {key: copy.deepcopy(config[key]) for key in PROTOCOL if config.get(key) is not None}
    if config.get('resume'):  # it names the checkpoint to go on from
        values.pop('load_from', None)
    for evaluator in evaluators_of(values):
        evaluator.pop('outfile_prefix', None)
    return plain({key: value for key, value in values.items() if value != {}})


def protocol_of(config: Config) -> dict[str, Any]:
    """The protocol of a config, plain values; that of the usual budget for a longer run."""
    values = {**settings_of(config), **plain(unstretched(config))}
    values['model'].get('backbone', {}).pop('init_cfg', None)
    values.get('randomness', {}).pop('seed', None)
    loader = values['train_dataloader']
    loader['dataset'] = _whole(loader['dataset'])
    return {key: value for key, value in values.items() if value != {}}


def evaluators_of(config: Mapping) -> list[dict]:
    """The metrics of the evaluation, also those inside a MultiDatasetEvaluator."""
    evaluators = config.get('val_evaluator') or []
    several = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    return [metric for e in several for metric in (e.get('metrics') or [e])]


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
