"""A longer budget for some initialisations: random weights get twice the epochs in the 3D study.

A run with a longer budget keeps in its config what it would have had otherwise. Its protocol is
read from there, so that it can be compared with the others.
"""

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config, ConfigDict

KEY = 'budget'
"""What a run's config calls it."""
SCHEDULES = ('train_cfg', 'param_scheduler')
STRETCHED = (
    'max_iters', 'max_epochs', 'begin', 'end', 'milestones', 'T_max', 'total_steps', 'step_size',
    'periods',
)  # fmt: skip


def lengthen(config: Config, times: int) -> None:
    """Stretch the whole schedule of a config in place.

    The length of the training is multiplied, and so is every iteration or epoch that a schedule of
    the learning rate names, that of a warm-up too. How often is evaluated stays as it is.

    Args:
        config: Of a fine-tuning.
        times: How many times as long; nothing changes by 1.

    Examples:
        >>> config.train_cfg, config.param_scheduler  # 120 epochs, milestones=[90]
        >>> lengthen(config, 2)  # 240 epochs, milestones=[180], as in the study
    """
    if times == 1:
        return
    given = {key: copy.deepcopy(config[key]) for key in SCHEDULES if config.get(key) is not None}
    stretch(config, times)
    config[KEY] = ConfigDict(times=times, given=given)


def stretch(config: Config, times: float) -> None:
    """Multiply every iteration or epoch that a config's schedules name, in place.

    Args:
        config: Of any training.
        times: By which, above 0; what comes out is rounded. Nothing that lasted comes to last no
            iteration or epoch.
    """
    for key in SCHEDULES:
        if config.get(key) is not None:
            config[key] = _stretched(config[key], times)


def _stretched(value: Any, times: float, key: str = '') -> Any:
    if isinstance(value, dict):
        stretched = type(value)({k: _stretched(v, times, k) for k, v in value.items()})
        if 'end' in value and value['end'] > value.get('begin', 0):
            stretched['end'] = max(stretched['end'], stretched.get('begin', 0) + 1)
        return stretched
    if isinstance(value, list | tuple):
        return type(value)(_stretched(item, times, key) for item in value)
    counts = isinstance(value, int | float) and not isinstance(value, bool)
    if not counts or key not in STRETCHED:
        return value
    return max(round(value * times), 1 if value > 0 and key != 'begin' else 0)


def budget_of(config: Config) -> int:
    """How many times as long as the others a run is trained."""
    return (config.get(KEY) or {}).get('times', 1)


def unstretched(config: Config) -> Mapping[str, Any]:
    """What the config of a run would have had in the place of its longer schedule."""
    return (config.get(KEY) or {}).get('given', {})


def parse_longer(text: str) -> tuple[str, int]:
    """Read ``NAME=TIMES``: name of an initialisation, and how many times as long.

    Raises:
        ValueError: Anything else.
    """
    name, _, times = text.partition('=')
    if not name or not times.isdecimal() or int(times) < 2:
        raise ValueError(f'longer={text!r} must be NAME=TIMES, with a whole number from 2 on')
    return name, int(times)
