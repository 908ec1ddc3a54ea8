import importlib
import sys

import pytest

import hsjp_mm.analysis
import hsjp_mm.datasets
import hsjp_mm.engine
import hsjp_mm.visualization


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules, imported when they are used."""
    folder = tmp_path / 'lazy_made_up'
    folder.mkdir()
    (folder / '__init__.py').write_text(
        'from typing import TYPE_CHECKING\n'
        'from hsjp_mm.utils.lazy import lazy_imports\n'
        'if TYPE_CHECKING:\n'
        '    from lazy_made_up.one import a, b\n'
        '    from lazy_made_up.two import c\n'
        "__all__ = ['a', 'b', 'c']\n"
        "__getattr__ = lazy_imports(__name__, __file__, {'old': 5}.__getitem__)\n"
    )
    (folder / 'one.py').write_text('a = 1\nb = 2\n')
    (folder / 'two.py').write_text('c = 3\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module('lazy_made_up')
    for name in ('lazy_made_up', 'lazy_made_up.one', 'lazy_made_up.two'):
        sys.modules.pop(name, None)


def test_a_name_imports_its_module_alone(package):
    assert 'lazy_made_up.one' not in sys.modules
    assert package.b == 2
    assert 'lazy_made_up.one' in sys.modules and 'lazy_made_up.two' not in sys.modules
    from lazy_made_up import c

    assert c == 3


def test_other_names_are_asked_for_elsewhere(package):
    assert package.old == 5
    with pytest.raises(KeyError):
        _ = package.new


@pytest.mark.parametrize(
    'package', [hsjp_mm.analysis, hsjp_mm.datasets, hsjp_mm.engine, hsjp_mm.visualization]
)
def test_our_lazy_packages_have_all_their_names(package):
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match='no attribute'):
        _ = package.no_such_name
