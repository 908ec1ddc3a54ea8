"""Versions: comparison against `packaging`, ranges against setup.py itself, and the refusal."""

import importlib.util
import random
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hsjp_mm.environment import requirements
from tests.helpers import ROOT


def write_dist(folder, name, version, *lines):
    """Make the metadata of an installed distribution."""
    info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
    info.mkdir(parents=True)
    text = ['Metadata-Version: 2.1', f'Name: {name}', f'Version: {version}', *lines]
    (info / 'METADATA').write_text('\n'.join(text) + '\n')
    return info


def load_copy(path):
    """Load a copy of the module from elsewhere, as tools/doctor.py does."""
    spec = importlib.util.spec_from_file_location('versions_copy', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def setup_keywords(monkeypatch):
    """What setup.py hands to setuptools, by running it."""
    keywords = {}
    monkeypatch.setattr(setuptools, 'setup', lambda **given: keywords.update(given))
    runpy.run_path(str(ROOT / 'setup.py'))
    return keywords


def test_satisfies_as_packaging_does():
    rng = random.Random(0)
    for _ in range(500):
        version = '.'.join(str(rng.randrange(12)) for _ in range(rng.randint(1, 4)))
        bounds = ['.'.join(str(rng.randrange(12)) for _ in range(rng.randint(1, 3))) for _ in 'ab']
        ranges = ','.join(rng.choice(['==', '!=', '>=', '<=', '<', '>']) + b for b in bounds)
        expected = SpecifierSet(ranges).contains(version)
        assert requirements.satisfies(version, ranges) is expected, (version, ranges)


@pytest.mark.parametrize(
    ('version', 'ranges', 'expected'),
    [
        ('2.11.0+cu130', '>=2.6', True),  # 11 is a number, not text
        ('0.10.10', '<=0.10.7', False),
        ('2.1', '==2.1.0', True),
        ('2.6.0a0+df5bbc09d1', '>=2.6', True),  # a container's build of a coming release
        ('2.0.0rc1', '<2', False),
        ('1.26.4', '', True),
    ],
)
def test_satisfies_by_hand(version, ranges, expected):
    assert requirements.satisfies(version, ranges) is expected


def test_release_of_no_number():
    with pytest.raises(ValueError, match="not 'main'"):
        requirements.release('main')


def as_sets(keywords):
    requirements = [Requirement(line) for line in keywords['install_requires']]
    ranges = {requirement.name: requirement.specifier for requirement in requirements}
    return {'python': SpecifierSet(keywords['python_requires'])} | ranges


def test_ranges_of_an_installed_package_are_those_of_setup_py(setup_keywords):
    ranges = requirements.supported_ranges()
    assert {name: SpecifierSet(text) for name, text in ranges.items()} == as_sets(setup_keywords)


def test_ranges_of_a_source_tree_are_those_of_setup_py(setup_keywords, monkeypatch):
    def not_installed(name):
        raise requirements.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(requirements.metadata, 'distribution', not_installed)
    ranges = requirements.supported_ranges()
    assert {name: SpecifierSet(text) for name, text in ranges.items()} == as_sets(setup_keywords)


def test_a_bare_copy_checks_nothing(tmp_path, monkeypatch):
    (tmp_path / 'site' / 'hsjp_mm' / 'environment').mkdir(parents=True)
    shutil.copy(
        ROOT / 'hsjp_mm' / 'environment' / 'requirements.py',
        tmp_path / 'site' / 'hsjp_mm' / 'environment',
    )
    copy = load_copy(tmp_path / 'site' / 'hsjp_mm' / 'environment' / 'requirements.py')
    monkeypatch.setattr(sys, 'path', [])
    assert copy.supported_ranges() == {}
    copy.check_versions()


def test_ranges_from_metadata(tmp_path, monkeypatch):
    lines = 'Requires-Python: >=3.11', 'Requires-Dist: torch >=2.6, <3', 'Requires-Dist: scipy'
    write_dist(tmp_path, 'hsjp-mm', '9.9', *lines, 'Requires-Dist: pandas<3; extra == "mim"')
    monkeypatch.syspath_prepend(tmp_path)
    expected = {'python': '>=3.11', 'torch': '>=2.6,<3', 'scipy': ''}
    assert requirements.supported_ranges() == expected


def test_extras_from_metadata(tmp_path, monkeypatch):
    lines = 'Requires-Dist: scipy', 'Requires-Dist: pandas<3; extra == "mim"'
    write_dist(tmp_path, 'hsjp-mm', '9.9', *lines, "Requires-Dist: h5py ; extra == 'analysis'")
    monkeypatch.syspath_prepend(tmp_path)
    assert requirements.supported_extras() == [('pandas', '<3', 'mim'), ('h5py', '', 'analysis')]


def test_extras_of_a_source_tree_are_those_of_setup_py(setup_keywords, monkeypatch):
    def not_installed(name):
        raise requirements.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(requirements.metadata, 'distribution', not_installed)
    found = {}
    for name, allowed, extra in requirements.supported_extras():
        found.setdefault(extra, []).append(name + allowed)
    assert found == setup_keywords['extras_require']


def test_pinned_versions_are_those_of_pyproject():
    tomllib = pytest.importorskip('tomllib', reason='new in Python 3.11')
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    pinned = requirements.pinned_versions(ROOT / 'pyproject.toml')
    assert pinned == settings['tool']['uv']['constraint-dependencies']


def test_metadata_without_python_and_read_by_the_backport(tmp_path, monkeypatch):
    pytest.importorskip('importlib_metadata')  # once imported it reads all metadata, more strictly
    write_dist(tmp_path, 'hsjp-mm', '9.9', 'Requires-Dist: numpy<2')
    monkeypatch.syspath_prepend(tmp_path)
    assert requirements.supported_ranges() == {'python': '', 'numpy': '<2'}


@pytest.mark.parametrize('line', ['numpy~=1.26', 'numpy; sys_platform == "linux"', 'numpy==1.*'])
def test_unreadable_requirement(tmp_path, monkeypatch, line):
    write_dist(tmp_path, 'hsjp-mm', '9.9', f'Requires-Dist: {line}')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match='cannot read its own requirement'):
        requirements.supported_ranges()


@pytest.mark.slow
def test_installed_versions(tmp_path, monkeypatch):
    for name in 'ownfolder', 'litefolder', 'treefolder':
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').touch()
    write_dist(tmp_path, 'ownfolder', '1.2')
    (write_dist(tmp_path, 'litefolder-lite', '1.2') / 'top_level.txt').write_text('litefolder\n')
    monkeypatch.syspath_prepend(tmp_path)
    names = ['python', 'ownfolder', 'litefolder', 'treefolder', 'nofolder']
    assert requirements.installed_versions(names) == {
        'python': '.'.join(str(number) for number in sys.version_info[:3]),
        'ownfolder': '1.2',
        'litefolder': None,  # there, but of another distribution
        'treefolder': '',  # there, but of none
        'nofolder': None,
    }


def test_find_conflicts():
    ranges = {'python': '>=3.11,<3.13', 'numpy': '<2', 'mmcv': '==2.1.0', 'mmdet': '', 'scipy': ''}
    installed = {'python': '3.13.0', 'numpy': '1.26.4', 'mmcv': '', 'mmdet': None, 'scipy': '1.16'}
    assert requirements.find_conflicts(ranges, installed) == [
        ('python', '3.13.0', '>=3.11,<3.13'),
        ('mmdet', None, ''),
    ]


def test_check_passes_here():
    requirements.check_versions()


def test_check_says_all_in_one_line(tmp_path, monkeypatch):
    lines = 'Requires-Dist: numpy<2', 'Requires-Dist: nofolder==1.2', 'Requires-Dist: packaging'
    write_dist(tmp_path, 'hsjp-mm', '9.9', *lines)
    write_dist(tmp_path, 'numpy', '2.2.6')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError) as refusal:
        requirements.check_versions()
    message = str(refusal.value)
    found = 'numpy<2 (2.2.6 is installed), nofolder==1.2 (not installed)'
    assert message.startswith(f'hsjp_mm needs {found}; run `python ')
    assert '\n' not in message
    doctor = Path(message.split('`')[1].removeprefix('python '))
    assert doctor == ROOT / 'tools' / 'doctor.py'
    assert doctor.is_file()


@pytest.mark.slow
def test_the_package_with_mmengine_refuses(tmp_path):
    write_dist(tmp_path, 'numpy', '2.2.6')

    def run(code: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, '-c', f'import sys; sys.path[0] = {str(tmp_path)!r}; {code}'],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )

    for code in ('import hsjp_mm, mmengine', 'import mmengine, hsjp_mm'):
        result = run(code)
        assert result.returncode == 1
        last = result.stderr.splitlines()[-1]
        assert 'VersionError: hsjp_mm needs numpy<2 (2.2.6 ' in last
    # the command line goes so far as to run the doctor
    assert run('import hsjp_mm.cli').returncode == 0


def test_needs_the_standard_library_only():
    code = (
        'import sys; before = set(sys.modules); sys.path.insert(0, "hsjp_mm/environment"); '
        'import requirements; '
        'requirements.supported_ranges(); sys.path.pop(0); requirements.check_versions(); '
        'new = {name.split(".")[0] for name in set(sys.modules) - before}; '
        'print(*sorted(new - sys.stdlib_module_names))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.split() == ['requirements']
