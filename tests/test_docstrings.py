"""Every class that a config can name shows in its docstring how, and what it shows works."""

import doctest
import inspect
import warnings
from collections.abc import Iterator

import pytest
from mmengine.registry import DefaultScope, Registry

from hsjp_mm import registry
from tests.helpers import ROOT

NOT_BUILT = (
    registry.DATASETS,
    registry.DATA_SAMPLERS,
    registry.LOOPS,
    registry.OPTIM_WRAPPERS,
    registry.OPTIM_WRAPPER_CONSTRUCTORS,
)
"""Registries whose classes cannot be built without data, a runner or an optimizer; the names are
looked up all the same."""
NEED_FILES = {'PCKh'}
"""Classes that read a file of the example when they are built."""
REGISTRIES = [kind for kind in vars(registry).values() if isinstance(kind, Registry)]


def registered() -> dict[str, tuple[Registry, type]]:
    """Our classes by the name that a config gives; old names, which only warn, are left out."""
    found = {}
    for kind in REGISTRIES:
        if kind.scope == 'hsjp_mm':
            kind.import_from_location()
            for name, cls in kind.module_dict.items():
                if name == cls.__name__ and 'hsjp_mm' in cls.__module__ and not renamed(cls):
                    found[name] = kind, cls
    return found


def renamed(cls: type) -> bool:
    return ' in version 0.1' in (inspect.getdoc(cls) or '').partition('\n')[0]


CLASSES = registered()


def run_examples(cls: type) -> dict:
    """What the docstring's examples assign."""
    _, _, block = (inspect.getdoc(cls) or '').partition('Examples:')
    values: dict = {}
    for example in doctest.DocTestParser().get_examples(block):
        exec(example.source, values)
    values.pop('__builtins__', None)
    return values


def settings(value) -> Iterator[dict]:
    """All dictionaries with a ``type`` inside a value, from outside to inside."""
    if isinstance(value, dict):
        if 'type' in value:
            yield value
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from settings(item)


def named(part: dict) -> str:
    """What a dictionary is there for: a constructor, which wraps the type, or the type."""
    return part.get('constructor', part['type'])


def is_registered(name: str) -> bool:
    return any(kind.get(name) for kind in REGISTRIES)


def test_all_classes_are_looked_at():
    assert len(CLASSES) > 30
    assert {'HSJP', 'FreezeHook', 'PCKh', 'AssociativeEmbedding', 'PretextInit'} < CLASSES.keys()


@pytest.mark.parametrize('name', sorted(CLASSES))
@pytest.mark.slow
def test_example_works(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # an example may name a config of ours
    kind, cls = CLASSES[name]
    shown = list(settings(run_examples(cls)))
    assert shown, f'{name}: the docstring has no Examples: with a config'
    with DefaultScope.overwrite_default_scope('mmpose'):
        unknown = {one['type'] for one in shown if not is_registered(one['type'])}
        assert not unknown
        own = f'hsjp_mm.{name}'
        whole = [one for one in shown if own in map(named, settings(one))]
        assert whole, f'{name}: no example names it'
        if kind not in NOT_BUILT and name not in NEED_FILES:
            assert any(builds(one) for one in whole)


def builds(one: dict) -> bool:
    """Whether a config can be built; a part may need what the model around it gives, and then the
    model is tried as well."""
    [kind] = [kind for kind in REGISTRIES if kind.get(one['type'])][:1]
    try:
        return isinstance(kind.build(one), kind.get(one['type']))
    except TypeError as error:  # an argument is missing
        warnings.warn(f'{one["type"]}: {error}', stacklevel=2)
        return False


def test_an_example_that_names_nothing_is_found():
    shown = list(settings({'hooks': [dict(type='hsjp_mm.FreezeHock', layers=[0])]}))
    assert [is_registered(one['type']) for one in shown] == [False]
