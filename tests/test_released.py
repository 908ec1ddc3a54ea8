"""What version 0.1 had goes on working: its configs, the names in them, its import paths.

The lists in tests/data are of that version and never change. `names_0_1.json` holds its modules,
what they exported or its tools imported from them, and what it registered.
"""

import importlib
import json

import mmpose.registry
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

import hsjp_mm  # noqa: F401  (lets hsjp_mm:: bases resolve)
from tests.data.parts_0_1 import PARTS
from tests.helpers import ROOT
from tests.test_configs import CONFIGS, build

DATA = ROOT / 'tests/data'
OLD_CONFIGS = (DATA / 'configs_0_1.txt').read_text().split()
NAMES = json.loads((DATA / 'names_0_1.json').read_text())

# an old name may warn, and only of where it is now
pytestmark = pytest.mark.filterwarnings('ignore:.*goes with version 1.0:FutureWarning')


def test_every_config_is_still_there():
    """And tests/test_configs.py builds what stands in CONFIGS."""
    leaves = {str(path.relative_to(ROOT)) for path in CONFIGS}
    assert [name for name in OLD_CONFIGS if '/_base_/' not in name and name not in leaves] == []


@pytest.mark.parametrize('name', [name for name in OLD_CONFIGS if '/_base_/' in name])
def test_base_config_is_read(name):
    Config.fromfile(ROOT / name)


@pytest.mark.parametrize(('registry', 'part'), PARTS)
@pytest.mark.slow
def test_part_of_a_copied_config_builds(registry, part):
    """Every argument that a config of 0.1 set is still taken, at its place."""
    build(registry, part)


@pytest.mark.parametrize(
    ('registry', 'name'),
    [(registry, name) for registry, names in NAMES['registered'].items() for name in names],
)
@pytest.mark.parametrize('scope', ['mmpose', 'mmdet'])
def test_registered_name_is_found(registry, name, scope):
    init_default_scope(scope)
    assert isinstance(getattr(mmpose.registry, registry).get(f'hsjp_mm.{name}'), type)


@pytest.mark.parametrize('module', NAMES['modules'])
def test_module_is_imported_with_its_names(module):
    found = importlib.import_module(module)
    assert [name for name in NAMES['names'].get(module, ()) if not hasattr(found, name)] == []
