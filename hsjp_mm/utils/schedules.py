"""Schedules of the learning rate that do not go with the length of the training.

A config says the length in ``train_cfg`` and in each of ``param_scheduler``, so that a child that
changes one alone trains on a schedule that nobody meant.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any


def warn_of_schedules(config: Mapping[str, Any]) -> None:
    """Log a warning for each number that :func:`mismatches` finds."""
    from mmengine.logging import print_log

    for text in mismatches(config):
        print_log(text, 'current', logging.WARNING)


def mismatches(config: Mapping[str, Any]) -> Iterator[str]:
    """Find the numbers of schedules that do not go with the length of the training, in words.

    These are milestones that never come, an end beyond the last epoch or iteration, and a cosine
    that is not down at the last one. Schedules in another unit than the training's are left alone.

    Args:
        config: of a training.

    Examples:
        >>> config = dict(train_cfg=dict(by_epoch=True, max_epochs=100),
        ...               param_scheduler=dict(type='MultiStepLR', milestones=[190, 220]))
        >>> print(*mismatches(config))
        train_cfg.max_epochs=100 does not go with param_scheduler[0].milestones=[190, 220], of
        which 190, 220 never come
    """
    train = config.get('train_cfg') or {}
    unit = 'epochs' if train.get('max_epochs') else 'iters'
    last = train.get(f'max_{unit}')
    schedulers = config.get('param_scheduler') or []
    if not isinstance(last, int) or (isinstance(schedulers, Mapping) and 'type' not in schedulers):
        return  # no training, or those of several optimizers
    if isinstance(schedulers, Mapping):
        schedulers = [schedulers]
    for index, scheduler in enumerate(schedulers):
        if scheduler.get('by_epoch', True) == (unit == 'epochs'):
            for name, consequence in _problems(scheduler, last):
                yield (
                    f'train_cfg.max_{unit}={last} does not go with '
                    f'param_scheduler[{index}].{name}={scheduler[name]}, {consequence}'
                )


def _problems(scheduler: Mapping[str, Any], last: int) -> Iterator[tuple[str, str]]:
    """The names of a scheduler's numbers that do not go with the last epoch, and what follows."""
    late = [str(step) for step in scheduler.get('milestones', ()) if step >= last]
    if late:
        yield 'milestones', f'of which {", ".join(late)} never come'
    begin, end = scheduler.get('begin', 0), scheduler.get('end')
    if isinstance(end, int) and end > last:
        yield 'end', 'to which it does not come'
    length = scheduler.get('T_max')
    if isinstance(length, int) and not isinstance(end, int) and begin + length != last:
        where = 'does not come down' if begin + length > last else 'rises again from there'
        yield 'T_max', f'with which the cosine from {begin} {where}'
