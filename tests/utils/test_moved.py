"""Names of version 0.1 lead to what they are now, with a warning that says so."""

import importlib
import re
import sys

import pytest

from hsjp_mm.utils.moved import MODULES, find_moved_modules, moved_names


@pytest.mark.parametrize(('old', 'new'), MODULES.items())
def test_old_module_holds_what_the_new_ones_do(old, new, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    places = [new] if isinstance(new, str) else list(new)
    message = re.escape(f'{old} is now {", ".join(places)}; the old name goes with version 1.0')
    with pytest.warns(FutureWarning, match=message) as warned:
        found = importlib.import_module(old)
    assert sum('goes with version' in str(warning.message) for warning in warned) == 1
    for place in places:
        names = [name for name in vars(importlib.import_module(place)) if name[:2] != '__']
        assert names
        assert [name for name in names if not hasattr(found, name)] == []
    last = importlib.import_module(places[-1])
    assert all(getattr(found, name) is getattr(last, name) for name in names)


def test_warning_names_the_line_that_imports_and_comes_once(monkeypatch):
    monkeypatch.delitem(sys.modules, 'hsjp_mm.patches', raising=False)
    with pytest.warns(FutureWarning) as warned:
        from hsjp_mm.patches import resize_to_grid

        from hsjp_mm import patches
    from hsjp_mm.ops.patches import resize_to_grid as now

    assert [warning.filename for warning in warned] == [__file__]
    assert patches.resize_to_grid is resize_to_grid is now


def test_unknown_modules_stay_unknown():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'hsjp_mm\.puzzles'"):
        importlib.import_module('hsjp_mm.puzzles')


def test_the_finder_is_installed_once():
    before = len(sys.meta_path)
    find_moved_modules()
    assert len(sys.meta_path) == before


def test_old_name_in_a_module():
    find = moved_names('hsjp_mm.ops', {'resize': 'hsjp_mm.ops.patches.resize_to_grid'})
    from hsjp_mm.ops.patches import resize_to_grid

    with pytest.warns(FutureWarning, match=r'hsjp_mm\.ops\.resize is now hsjp_mm\.ops\.patches\.'):
        assert find('resize') is resize_to_grid
    with pytest.raises(AttributeError, match=r"module 'hsjp_mm\.ops' has no attribute 'shrink'"):
        find('shrink')
