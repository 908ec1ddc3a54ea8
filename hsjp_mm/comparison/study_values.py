"""What the values of a study's file must be: types, names, and that what they name is there.

YAML takes nearly all for something, so that a slip there would be compared without a word.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hsjp_mm.comparison.fine_tuning_config import RULES
from hsjp_mm.comparison.plan import NAME, NAME_RULE
from hsjp_mm.datasets import toy_bodies

Kind = tuple[Callable[[Any], bool], str]
"""Whether a value is one, and what it must be in words."""


def is_text(value: Any) -> bool:
    """Whether it is text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Any) -> bool:
    """Whether it is a whole number from 0 on."""
    return isinstance(value, int) and is_number(value) and value >= 0


def is_list(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether it is a list of such values, and not empty."""
    return lambda value: isinstance(value, list | tuple) and bool(value) and all(map(of, value))


def is_dict(
    of: Callable[[Any], bool] = lambda value: True, keys: Callable[[Any], bool] = is_text
) -> Callable[[Any], bool]:
    """Whether it is a dictionary of such values by such keys."""
    return lambda value: (
        isinstance(value, Mapping) and all(map(keys, value)) and all(map(of, value.values()))
    )


TEXT: Kind = (is_text, 'text, in quotes where YAML reads something else')
NAMES: Kind = (is_list(is_text), 'a list of names')
NUMBERS: Kind = (is_list(is_number), 'a list of numbers')
OPTIONS: Kind = (is_dict(), 'a dictionary of values by dotted keys')
RULE: Kind = (lambda value: value in RULES, ' or '.join(RULES))
BUDGET: Kind = (lambda value: is_number(value) and value > 0, 'a number above 0')
BY_NAME: Kind = (lambda value: isinstance(value, Mapping), 'a dictionary by name')
ONE_BY_NAME: Kind = (
    lambda value: isinstance(value, Mapping) and bool(value),
    'a dictionary by name, of one or more',
)

KINDS: dict[str, Kind] = {
    'title': TEXT,
    'metric': TEXT,
    'rule': (lambda value: value is None or RULE[0](value), RULE[1]),
    'measured_on': (lambda value: isinstance(value, str), TEXT[1]),
    'fine_tunings': ONE_BY_NAME,
    'pretrainings': BY_NAME,
    'inits': BY_NAME,
    'longer': (is_dict(lambda n: is_count(n) and n >= 1), 'whole numbers from 1 on, by name'),
    'fine_tuning_budget': BUDGET,
    'pretraining_budget': BUDGET,
    'labels': NUMBERS,
    'seeds': (is_list(is_count), 'a list of whole numbers from 0 on'),
    'toy_bodies': (is_dict(is_dict()), 'dictionaries of what to render, by folder'),
    'fine_tuning_options': OPTIONS,
    'pretraining_options': OPTIONS,
    'published': (
        is_dict(is_dict(is_dict(is_number, is_number))),
        'by name of a fine-tuning, then of a start, numbers by share of the labels',
    ),
    'labelling': (is_dict(is_dict(is_count)), 'whole numbers by name of a start, then by kind'),
    'seconds': (is_dict(is_number), 'numbers by kind of label'),
}
"""By name at the top level of the file."""
FINE_TUNING_KINDS = {'config': TEXT, 'starts': NAMES}
OPTIONAL_KINDS = {'labels': NUMBERS, 'metric': TEXT, 'rule': RULE, 'options': OPTIONS}
PRETRAINING_KINDS = {'config': TEXT, 'options': OPTIONS}


def check_values(values: Mapping[str, Any]) -> None:
    """See that a study's values can be what they are meant for.

    Args:
        values: All of :data:`KINDS`.

    Raises:
        ValueError: A value of another type, a name that cannot be a folder's, a key that is not
            known, or a name of what the study does not have.
    """
    _check_kinds('', values, KINDS)
    for part in ('fine_tunings', 'pretrainings', 'inits'):
        _check_names(part, values[part])
    for name, given in values['fine_tunings'].items():
        _check_fine_tuning(f'fine_tunings[{name!r}]', given)
    for name, given in values['pretrainings'].items():
        _check_pretraining(f'pretrainings[{name!r}]', given)
    for name, given in values['inits'].items():
        if given is not None and not is_text(given):
            raise ValueError(
                f'inits[{name!r}]={given!r} must be the path or address of a checkpoint, or null '
                'for random weights'
            )
    for name, options in values['toy_bodies'].items():
        _check_rendered(name, options)
    _require_own_folders(values['toy_bodies'])
    _check_mentions(values)


def _check_kinds(place: str, values: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    for name, value in values.items():
        fits, words = kinds[name]
        if not fits(value):
            raise ValueError(f'{place}{name}={value!r} must be {words}')


def _check_names(part: str, names: Iterable[Any]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f'{part}: the name {name!r} must be text, so put it in quotes')
        if not NAME.fullmatch(name):
            raise ValueError(f'{part}: the name {name!r} must be {NAME_RULE}')


def _check_fine_tuning(place: str, given: Any) -> None:
    if not _has(given, FINE_TUNING_KINDS, OPTIONAL_KINDS):
        raise ValueError(
            f'{place}={given!r} must have the keys {" and ".join(FINE_TUNING_KINDS)}, and no '
            f'others but {", ".join(OPTIONAL_KINDS)}'
        )
    _check_kinds(f'{place}: ', given, {**FINE_TUNING_KINDS, **OPTIONAL_KINDS})


def _check_pretraining(place: str, given: Any) -> None:
    if is_text(given):
        return
    if not _has(given, ('config',), PRETRAINING_KINDS):
        raise ValueError(
            f'{place}={given!r} must be the path of a config, or have the keys '
            f'{" and ".join(PRETRAINING_KINDS)}'
        )
    _check_kinds(f'{place}: ', given, PRETRAINING_KINDS)


def _check_rendered(name: str, options: Mapping[str, Any]) -> None:
    own = ('folder', 'progress', 'workers')  # which the study gives itself
    allowed = [key for key in inspect.signature(toy_bodies.render).parameters if key not in own]
    if odd := [key for key in options if key not in allowed]:
        raise ValueError(
            f'toy_bodies[{name!r}]: {", ".join(odd)} must be one of {", ".join(allowed)}'
        )
    if missing := [key for key in ('num_train', 'num_val') if key not in options]:
        raise ValueError(f'toy_bodies[{name!r}]: {", ".join(missing)} must be given')


def _require_own_folders(names: Iterable[str]) -> None:
    """See that no two data sets are rendered into one folder, which their last names say."""
    found: dict[str, str] = {}
    for name in names:
        other = found.setdefault(Path(name).name, name)
        if other != name:
            raise ValueError(
                f'toy_bodies: {other!r} and {name!r} must end in different names, for both would '
                f'be rendered into data/{Path(name).name}'
            )


def _check_mentions(values: Mapping[str, Any]) -> None:
    """See that what is named as a start or as a fine-tuning is one."""
    starts = [*values['inits'], *values['pretrainings']]
    if twice := [name for name in values['inits'] if name in values['pretrainings']]:
        raise ValueError(f'inits: {", ".join(twice)} must not be among the pretrainings, too')
    for name, given in values['fine_tunings'].items():
        _require_known(f'fine_tunings[{name!r}] starts from', given['starts'], starts)
    _require_known('longer:', values['longer'], starts)
    _require_known('labelling:', values['labelling'], starts)
    _require_known('published:', values['published'], values['fine_tunings'])
    for name, published in values['published'].items():
        _require_known(f'published[{name!r}]:', published, starts)


def _require_known(place: str, names: Iterable[str], known: Iterable[str]) -> None:
    there = list(known)
    if unknown := [name for name in names if name not in there]:
        raise ValueError(f'{place} {", ".join(unknown)}, which must be one of {", ".join(there)}')


def _has(given: Any, needed: Iterable[str], optional: Iterable[str]) -> bool:
    """Whether a dictionary has all needed keys, and no others but the optional ones."""
    return isinstance(given, Mapping) and set(needed) <= set(given) <= {*needed, *optional}
