"""The house: imports run downwards only, tests mirror the package, the root holds what it should.

Read from the sources alone, without importing them; imports inside functions count too.
"""

import ast
import re
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path

import pytest

from tests.helpers import ROOT

# Rooms are the folders and modules directly in hsjp_mm, and tools. An import may run to a lower
# line, or stay on its line as long as no circle comes of it.
LINES = (
    {'tools', '__main__'},
    {'cli', 'hsjp_mm'},  # hsjp_mm is the package's own __init__.py
    {'benchmarks', 'comparison', 'engine'},
    {'visualization'},
    {'analysis', 'probing'},
    {'models', 'datasets'},
    {'evaluation', 'codecs', 'checkpoint'},
    {'ops', 'utils', 'registry', 'environment', 'version'},
)
LONGEST = 500  # lines of a module; what would be longer is two things
OWN = {'hsjp_mm', 'tools', 'tests'}

in_git = pytest.mark.skipif(not (ROOT / '.git').exists(), reason='not a git checkout')


def modules(root: Path) -> dict[str, Path]:
    """The files of hsjp_mm and tools by the dotted names of their modules."""
    paths = [path for folder in ('hsjp_mm', 'tools') for path in (root / folder).rglob('*.py')]
    dotted = {'.'.join(path.relative_to(root).with_suffix('').parts): path for path in paths}
    return {name.removesuffix('.__init__'): path for name, path in dotted.items()}


def imported(name: str, files: dict[str, Path]) -> set[str]:
    """The dotted names of the modules that a module imports; of the known ones the exact module."""
    found = set()
    package = name if files[name].name == '__init__.py' else name.rpartition('.')[0]
    for node in ast.walk(ast.parse(files[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name('.' * node.level + (node.module or ''), package)
            names = {f'{base}.{alias.name}' for alias in node.names}
            found |= {name if name in files else base for name in names}
    return found


def room(module: str) -> str:
    """``models`` of ``hsjp_mm.models.heads``, ``tools`` of ``tools.train``."""
    top, _, rest = module.partition('.')
    return rest.split('.')[0] if top == 'hsjp_mm' and rest else top


def arrows(root: Path) -> dict[tuple[str, str], list[str]]:
    """Pairs of rooms of which the first imports the second, with the imports that make them."""
    files = modules(root)
    found: dict[tuple[str, str], list[str]] = {}
    for name in sorted(files):
        for target in sorted(imported(name, files)):
            pair = room(name), room(target)
            if target.partition('.')[0] in OWN and pair[0] != pair[1]:
                found.setdefault(pair, []).append(f'{name} imports {target}')
    return found


def upward(pairs: dict[tuple[str, str], list[str]]) -> list[str]:
    """The imports that run to a higher line, or to a room that has none (tests)."""
    line = {name: number for number, names in enumerate(LINES) for name in names}
    return [
        text
        for (source, target), texts in pairs.items()
        if line.get(target, -1) < line[source]
        for text in texts
    ]


def circles(pairs) -> set[frozenset[str]]:
    """The sets of rooms that import one another, directly or through others."""
    reached: dict[str, set[str]] = {name: set() for pair in pairs for name in pair}
    for source, target in pairs:
        reached[source].add(target)
    for middle in reached:
        for name in reached:
            if middle in reached[name]:
                reached[name] |= reached[middle]
    return {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in reached
        if name in reached[name]
    }


def lines(root: Path) -> dict[str, int]:
    """How many lines each module has."""
    return {name: len(path.read_text().splitlines()) for name, path in modules(root).items()}


def test_every_room_has_its_line():
    rooms = {room(name) for name in modules(ROOT)}
    assert rooms - set.union(*LINES) == set()


def test_imports_run_downwards():
    assert upward(arrows(ROOT)) == []


def test_rooms_import_one_another_in_no_circle():
    assert circles(arrows(ROOT)) == set()


def test_environment_imports_the_standard_library_only():
    files = modules(ROOT)
    foreign = [
        f'{name} imports {target}'
        for name in files
        if room(name) == 'environment'
        for target in imported(name, files)
        if target.partition('.')[0] not in sys.stdlib_module_names and room(target) != room(name)
    ]
    assert foreign == []


def test_no_module_is_too_long():
    assert {name: number for name, number in lines(ROOT).items() if number > LONGEST} == {}


def test_upward_imports_and_circles_are_found(tmp_path):
    """A hand-made package: models and engine import each other, the one inside a function."""
    sources = {
        'hsjp_mm/__init__.py': 'from hsjp_mm import models',
        'hsjp_mm/models/__init__.py': 'def late():\n    from hsjp_mm.engine import hooks',
        'hsjp_mm/engine/__init__.py': '',
        'hsjp_mm/engine/hooks.py': 'import hsjp_mm.models, torch\nfrom hsjp_mm.ops import seeds',
        'hsjp_mm/ops/__init__.py': 'from tests import helpers',
        'hsjp_mm/ops/seeds.py': 'from . import patches\nfrom ..utils import files',
        'hsjp_mm/ops/patches.py': '',
        'hsjp_mm/utils/__init__.py': '',
        'tools/train.py': 'import hsjp_mm',
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    pairs = arrows(tmp_path)
    assert set(pairs) == {
        ('hsjp_mm', 'models'), ('models', 'engine'), ('engine', 'models'), ('engine', 'ops'),
        ('ops', 'tests'), ('ops', 'utils'), ('tools', 'hsjp_mm'),
    }  # fmt: skip
    assert upward(pairs) == [
        'hsjp_mm.models imports hsjp_mm.engine.hooks',
        'hsjp_mm.ops imports tests',
    ]
    assert circles(pairs) == {frozenset({'models', 'engine'})}
    assert lines(tmp_path)['hsjp_mm.models'] == 2


# Tests of a folder's parts together, in place of tests of one file.
TESTS_OF_SEVERAL = {
    'tests/engine/test_resume.py',
    'tests/models/pose_estimators/test_multiscale_topdown.py',
}
WHOLE_PACKAGE = {
    'test_configs', 'test_contrastive', 'test_docstrings', 'test_layout', 'test_made_up_pretext',
    'test_mesh_configs', 'test_mesh_training', 'test_own_keypoints', 'test_quick_start',
    'test_plugin', 'test_readme', 'test_registry', 'test_released', 'test_resume', 'test_training',
    'test_transfer',
}  # fmt: skip


def test_tests_mirror_the_package():
    strays = []
    for path in sorted((ROOT / 'tests').rglob('test_*.py')):
        name = path.relative_to(ROOT)
        if str(name) in TESTS_OF_SEVERAL or (len(name.parts) == 2 and path.stem in WHOLE_PACKAGE):
            continue
        tested = Path(*name.parts[1:]).with_name(path.name.removeprefix('test_'))
        place = tested if tested.parts[0] == 'tools' else 'hsjp_mm' / tested
        package = place.with_suffix('') / '__init__.py'
        if not any((ROOT / p).is_file() for p in (place, package, place.with_suffix('.sh'))):
            strays.append(f'{name} has no {place}')
    assert strays == []


IN_THE_ROOT = {
    '.ci', '.gitignore', '.pre-commit-config.yaml', 'CHANGELOG.md', 'CITATION.cff',
    'CONTRIBUTING.md', 'LICENSE', 'MANIFEST.in', 'NOTICE', 'README.md', 'configs', 'docs',
    'hsjp_mm', 'mkdocs.yml', 'model-index.yml', 'pyproject.toml', 'setup.py', 'tests', 'tools',
}  # fmt: skip


def tracked() -> list[str]:
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in done.stdout.split('\0') if (ROOT / name).is_file()]


@in_git
def test_root_holds_nothing_else():
    assert {Path(name).parts[0] for name in tracked()} - IN_THE_ROOT == set()


@in_git
def test_no_file_names_a_path_of_one_machine():
    pattern = re.compile(rb'(?<![\w.}\'])/(?:work|home|root|Users)/\w')
    texts = {name: (ROOT / name).read_bytes() for name in tracked()}
    pictures = ('.png', '.jpg', '.gif')
    found = {name: pattern.search(text) for name, text in texts.items()}
    assert [name for name, hit in found.items() if hit and not name.endswith(pictures)] == []


def default_outputs() -> dict[str, str]:
    """What the tools write to where nothing is said: the literal defaults of their --out."""
    found = {}
    for path in sorted(ROOT.glob('tools/*.py')):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            constants = [a.value if isinstance(a, ast.Constant) else None for a in node.args]
            values = [k.value for k in node.keywords if k.arg == 'default']
            if node.func.attr == 'add_out':
                found[path.name] = constants[1] if len(constants) > 1 else None
            elif {'--out', '--work-dir'} & {*constants} and values:
                found[path.name] = ast.literal_eval(values[0])
    return {name: out for name, out in found.items() if out}


@in_git
def test_git_ignores_what_the_tools_write_by_default():
    outputs = default_outputs()
    assert (outputs['probe_pose.py'], outputs['demo.py']) == ('probe_pose.json', 'demo')
    asked = [out if Path(out).suffix else f'{out}/' for out in outputs.values()] + ['work_dirs/']
    done = subprocess.run(['git', 'check-ignore', *asked], cwd=ROOT, capture_output=True, text=True)
    assert sorted(done.stdout.split()) == sorted(asked)
