"""What the config of a fine-tuning says to a comparison."""

import re

from mmengine.config import Config

RULES = ('greater', 'less')
"""What is better of a measure, in the words of MMEngine's CheckpointHook."""
# whole words, with the numbers and letters that the field writes before and after them
_KNOWN = {
    rule: re.compile(rf'(?<![A-Za-z])(?:{words})\d*(?![A-Za-z])', re.IGNORECASE)
    for rule, words in (
        ('greater', r'm?AP|AR|(?:t|3D)?PCKh?|(?:3D)?AUC|m?IoU|m?acc|accuracy|precision|recall|top'),
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
    found = {_rule_of_hook(config, metric), *(r for r in RULES if _KNOWN[r].search(metric))}
    found.discard(None)
    if len(found) == 1:
        return str(found.pop())
    why = (
        'both are said, by the checkpoint hook of the config or by its name'
        if found
        else 'neither the checkpoint hook of the config nor its name says it'
    )
    raise ValueError(
        f'metric={metric!r}: is more of it better, or less? {why}. Write --rule greater or --rule '
        f'less, or in the config default_hooks = dict(checkpoint=dict(save_best={metric!r}, '
        "rule='less'))"
    )


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
