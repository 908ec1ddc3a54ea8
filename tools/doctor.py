"""Say on one page what is installed, what of it does not work together, and the fix for each.

    python tools/doctor.py                  the page; exit status 1 if something will break
    python tools/doctor.py --constraints    the pinned versions, for `pip install -c`

This must run with plain Python in an environment where nothing else does. It therefore imports the
standard library only, tries every import in a child process, loads requirements.py by its path,
and, unlike the other tools, holds its work itself. (MMEngine's `collect_env` imports torch, and
`pip check` sees neither broken binaries nor two packages that share a folder.)
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

WIDTH = 100
TIMEOUT = 300  # seconds for one child process; on a cold disk torch alone may take a minute
HERE = Path(__file__).resolve()
NO_GPU_OPS = 'ops built without CUDA, beside a GPU'

# What is tried, by the name of the distribution (of which 'mmcv ops' is a part). Each runs in a
# child process and may leave a remark in `detail`.
PROBES = {
    'numpy': 'import numpy',
    'setuptools': 'import pkg_resources',
    'torch': """
import torch
detail = f'built for CUDA {torch.version.cuda}' if torch.version.cuda else 'built for the CPU'
gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
detail += f', {gpus} x {torch.cuda.get_device_name(0)}' if gpus else ', no usable GPU'
""",
    'torchvision': """
import torch, torchvision
torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
""",
    'opencv-python': 'import cv2; detail = f"cv2 {cv2.__version__}"',
    'xtcocotools': 'import xtcocotools.coco',
    'pycocotools': 'import pycocotools.coco',
    'safetensors': 'import safetensors.torch',
    'mmengine': 'import mmengine.runner',
    'mmcv': 'import mmcv',
    'mmcv ops': f"""
import torch, mmcv.ops
boxes, scores = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1)
mmcv.ops.nms(boxes, scores, 0.5)
detail = 'run on the CPU'
if torch.cuda.is_available():
    try:
        mmcv.ops.nms(boxes.cuda(), scores.cuda(), 0.5)
        detail = 'run on the CPU and the GPU'
    except RuntimeError:
        detail = {NO_GPU_OPS!r}
""",
    'mmdet': 'import mmdet.models',
    'mmpose': 'import mmpose.datasets, mmpose.models',
    'mmpretrain': 'import mmpretrain',
    'hsjp_mm': 'import hsjp_mm',
}
MODULES = {'opencv-python': 'cv2', 'setuptools': 'pkg_resources'}  # where the names differ
OPTIONAL = ('mmpretrain',)
UNNEEDED = {'chumpy': 'mmpose', 'opendatalab': 'openmim'}  # required on paper, imported by nothing
SHARED_FOLDERS = ('mmcv', 'mmengine', 'mmdet', 'mmpose', 'mmpretrain')

MARK = '@doctor '
CHILD = f"""
import json, sys
sys.path[:] = [folder for folder in sys.path if folder]  # not the working directory
for name, code in json.loads(sys.argv[1]).items():
    names, error = {{}}, ''
    try:
        exec(code, names)
    except BaseException as problem:
        error = f'{{type(problem).__name__}}: {{problem}}'
    print({MARK!r} + json.dumps([name, error, names.get('detail', '')]), flush=True)
    if error:
        break
"""


def _load_versions():
    """Load requirements.py by its path, in a clone or in a wheel (hsjp_mm/.mim/tools)."""
    module_of = 'environment/requirements.py'
    paths = HERE.parents[1] / 'hsjp_mm' / module_of, HERE.parents[2] / module_of
    path = next(path for path in paths if path.is_file())
    spec = importlib.util.spec_from_file_location('hsjp_mm_requirements', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


versions = _load_versions()


@dataclass
class Facts:
    """What is known of an environment.

    Attributes:
        versions: Version by distribution, and Python's; None if it is not installed.
        ranges: What setup.py allows, as `supported_ranges` of requirements.py returns it.
        errors: The error by name in `PROBES`, where the import failed.
        details: The remark by name in `PROBES`, where it succeeded.
        owners: The distributions that hold files in a folder, by folder.
        editable: Whether hsjp_mm is installed in editable mode.
        package: The folder of hsjp_mm; None if Python cannot find it.
        mim: Its `.mim` folder; None if it has none.
    """

    versions: dict[str, str | None]
    ranges: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    owners: dict[str, list[str]] = field(default_factory=dict)
    editable: bool = False
    package: str | None = None
    mim: str | None = None

    def version(self, name: str) -> str:
        """The version in words."""
        if self.versions.get(name) is not None:
            return self.versions[name] or 'of unknown version'
        owners = self.owners.get(name)
        return f'from {", ".join(owners)}' if owners else '(not installed)'

    def need(self, name: str) -> str:
        """The requirement as pip takes it."""
        requirement = name + self.ranges.get(name, '')
        return f"'{requirement}'" if re.search('[<>]', requirement) else requirement

    def newer(self, name: str, version: str) -> bool:
        """Whether `name` is installed in `version` or a later one."""
        return versions.satisfies(self.versions.get(name) or '0', f'>={version}')


class Problem(NamedTuple):
    """Something that does not work together.

    Attributes:
        package: The distribution at fault.
        what: One line.
        why: What happens, and the message by which it shows.
        fix: What to do; each command in a line of its own.
        breaks: Whether something will break; otherwise it is a note.
    """

    package: str
    what: str
    why: str
    fix: str
    breaks: bool = True


# Collecting ---------------------------------------------------------------------------------------


def collect_facts() -> Facts:
    """Look at the environment of the Python that runs this."""
    ranges = versions.supported_ranges()
    errors, details = try_imports(PROBES)
    names = {*ranges, *PROBES, *UNNEEDED, *UNNEEDED.values()} - {'mmcv ops'}
    spec = importlib.util.find_spec('hsjp_mm')
    package = Path(spec.origin).parent if spec is not None and spec.origin else None
    return Facts(
        versions=versions.installed_versions(sorted(names)),
        ranges=ranges,
        errors=errors,
        details=details,
        owners=find_owners(SHARED_FOLDERS),
        editable=is_editable('hsjp_mm'),
        package=str(package) if package else None,
        mim=str(package / '.mim') if package and (package / '.mim').is_dir() else None,
    )


def try_imports(probes: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Run every probe, in one child process as long as none fails.

    After a failure or a crash the rest goes on in a fresh one, for a package that half loaded
    makes others fail.

    Args:
        probes: Code by name.

    Returns:
        The error by name of those that failed, and the remark by name of the others.
    """
    errors, details = {}, {}
    waiting = dict(probes)
    while waiting:
        output, ending = _run_child(waiting)
        lines = [line.partition(MARK)[2] for line in output.splitlines() if MARK in line]
        answers = [json.loads(line) for line in lines]
        if not answers:
            answers = [[next(iter(waiting)), f'Python {ending}', '']]
        for name, error, detail in answers:
            del waiting[name]
            if error:
                errors[name] = ' '.join(error.split())
            else:
                details[name] = detail
    return errors, details


def _run_child(probes: dict[str, str]) -> tuple[str, str]:
    """Return what a child process printed, and how it ended."""
    command = [sys.executable, '-c', CHILD, json.dumps(probes)]
    try:
        child = subprocess.run(command, capture_output=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b'').decode(errors='replace'), f'did not finish in {TIMEOUT} s'
    return child.stdout.decode(errors='replace'), f'died with exit status {child.returncode}'


def find_owners(folders: tuple[str, ...]) -> dict[str, list[str]]:
    """Find the distributions that hold files in each folder of site-packages."""
    owners: dict[str, set[str]] = {folder: set() for folder in folders}
    for distribution in metadata.distributions():
        name = distribution.metadata['Name']
        tops = (distribution.read_text('top_level.txt') or '').split()
        record = '\n' + (distribution.read_text('RECORD') or '')
        for folder in folders:
            if name and (folder in tops or f'\n{folder}/' in record):
                owners[folder].add(name)
    return {folder: sorted(names) for folder, names in owners.items()}


def is_editable(name: str) -> bool:
    """Tell whether a distribution is installed in editable mode."""
    try:
        origin = metadata.distribution(name).read_text('direct_url.json')
    except metadata.PackageNotFoundError:
        return False
    return bool(json.loads(origin or '{}').get('dir_info', {}).get('editable'))


# Judging ------------------------------------------------------------------------------------------


def find_problems(facts: Facts) -> list[Problem]:
    """Find what does not work together.

    Args:
        facts: What is known of the environment.

    Returns:
        The problems, those that break something first.
    """
    problems = [
        *_two_owners(facts),
        *_failed_imports(facts),
        *_numpy(facts),
        *_checkpoints(facts),
        *_gpu_ops(facts),
        *_mim(facts),
        *_unneeded(facts),
    ]
    problems += _ranges(facts, {problem.package for problem in problems if problem.breaks})
    return sorted(problems, key=lambda problem: not problem.breaks)


def _build_mmcv(facts: Facts) -> str:
    return (
        f'pip install --no-cache-dir --no-build-isolation {facts.need("mmcv")}\n'
        f'It compiles for the torch that it finds, in minutes, and wants {facts.need("setuptools")}'
        ', wheel, ninja, psutil and a C++ compiler. FORCE_CUDA=1 before it adds the CUDA ops.'
    )


def _reinstall(facts: Facts, folder: str) -> str:
    """Remove every distribution that owns the folder, and install the right one."""
    owners = ' '.join(facts.owners.get(folder) or [folder])
    install = _build_mmcv(facts) if folder == 'mmcv' else f'pip install {facts.need(folder)}'
    return f'pip uninstall -y {owners}\n{install}'


def _two_owners(facts: Facts) -> list[Problem]:
    return [
        Problem(
            folder,
            f'{" and ".join(names)} share the folder {folder}',
            'The one installed last has overwritten files of the other, and removing either one '
            'breaks the one that stays.',
            _reinstall(facts, folder),
        )
        for folder, names in facts.owners.items()
        if len(names) > 1
    ]


def _failed_imports(facts: Facts) -> list[Problem]:
    """Group the failed imports by cause, one problem each."""
    # What the table of ranges says already: a package that is absent, or that hsjp_mm refuses.
    conflicts = versions.find_conflicts(facts.ranges, facts.versions)
    absent = {name for name in PROBES if facts.versions.get(name) is None}
    absent = {MODULES.get(name, name) for name in absent}
    causes: dict[str, list[str]] = {}
    for name, error in facts.errors.items():
        module = re.search(r"No module named '(\w+)'", error)
        refused = name == 'hsjp_mm' and 'doctor.py' in error and bool(conflicts)
        if not refused and (module is None or module[1] not in absent):
            key = next((key for key in KNOWN_ERRORS if re.search(key, f'{name}: {error}')), error)
            causes.setdefault(key, []).append(name)
    return [_explain(key, names, facts) for key, names in causes.items()]


def _explain(cause: str, names: list[str], facts: Facts) -> Problem:
    """Make a problem of imports that failed for one cause: a key of KNOWN_ERRORS or an error."""
    breaks = any(name not in OPTIONAL for name in names)
    if cause in KNOWN_ERRORS:
        return KNOWN_ERRORS[cause](facts, ', '.join(names))._replace(breaks=breaks)
    package = names[0].partition(' ')[0]
    fix = f'pip install --force-reinstall --no-deps {facts.need(package)}'
    module = re.search(r"ModuleNotFoundError: No module named '(\w+)'", cause)
    if module is not None and module[1] != package:
        fix = f'pip install {module[1]}'
    elif package == 'hsjp_mm':
        fix = 'The message says what is wrong; no known incompatibility explains it.'
    return Problem(package, f'{", ".join(names)} cannot be imported', cause, fix, breaks)


def _numpy_abi(facts: Facts, names: str) -> Problem:
    return Problem(
        'numpy',
        f'numpy {facts.version("numpy")} does not fit the compiled part of {names}',
        "The xtcocotools wheel is compiled for numpy 1; with numpy 2 it says 'numpy.dtype size "
        "changed'. MMPose imports it.",
        f'pip install {facts.need("numpy")}',
    )


def _torchvision(facts: Facts, names: str) -> Problem:
    return Problem(
        'torchvision',
        f'torchvision {facts.version("torchvision")} cannot load beside torch '
        f'{facts.version("torch")} ({names})',
        "They are of different builds, such as a CPU torch of another index: 'operator "
        "torchvision::nms does not exist'. MMPose imports torchvision.",
        'Install a pair of one build, from one index, such as the pinned one:\n'
        'pip install --force-reinstall -c constraints.txt torch torchvision\n'
        'Then compile mmcv again, which fits one torch only.',
    )


def _other_torch(facts: Facts, names: str) -> Problem:
    return Problem(
        'mmcv',
        f'mmcv {facts.version("mmcv")} is built for another torch than {facts.version("torch")} '
        f'({names})',
        "Its C++ ops fit one torch version: 'undefined symbol', or 'implementation for device ... "
        "not found'. pip's cache hands out an mmcv that was built for another.",
        _reinstall(facts, 'mmcv'),
    )


def _no_ops(facts: Facts, names: str) -> Problem:
    return Problem(
        'mmcv',
        f'mmcv {facts.version("mmcv")} has no compiled ops ({names})',
        'It is mmcv-lite, or it was built where torch was not visible, which leaves them out in '
        'silence. MMPose and MMDetection import mmcv.ops.',
        _reinstall(facts, 'mmcv'),
    )


def _bound(facts: Facts, names: str) -> Problem:
    return Problem(
        'mmcv',
        f'mmcv {facts.version("mmcv")} is refused by {names}',
        'They assert bounds on import: mmdet 3.3.0 wants mmcv < 2.2.0.',
        _reinstall(facts, 'mmcv'),
    )


def _pkg_resources(facts: Facts, names: str) -> Problem:
    return Problem(
        'setuptools',
        f'setuptools {facts.version("setuptools")} has no pkg_resources',
        'setuptools 82 dropped it. MMEngine 0.10.7 imports it to find the configs of a package, '
        "as for _base_ = 'mmpose::...', and so does mim.",
        f'pip install {facts.need("setuptools")}',
    )


def _libgl(facts: Facts, names: str) -> Problem:
    return Problem(
        'opencv-python',
        f'cv2 lacks system libraries ({names})',
        "opencv-python links to libGL and libglib, which a bare machine has not: 'libGL.so.1: "
        "cannot open shared object file'.",
        'apt-get install libgl1 libglib2.0-0',
    )


# Patterns of 'probe: error', the first that is found counts.
KNOWN_ERRORS = {
    r'numpy\.dtype size changed|numpy\.core\.multiarray failed|_ARRAY_API': _numpy_abi,
    r"torchvision::nms|Couldn't load custom C\+\+ ops|torchvision/_C": _torchvision,
    r'lib(GL|gthread)\S*\.so': _libgl,
    r'mmcv/_ext\S*: undefined|^mmcv ops: .*(for device|lib(torch|c10|cudart)|died)': _other_torch,
    r"'mmcv\._ext'|'mmcv\.ops'|'_ext' from 'mmcv'": _no_ops,
    r'MMCV==\S+ is used but incompatible': _bound,
    r"No module named 'pkg_resources'": _pkg_resources,
}


def _numpy(facts: Facts) -> list[Problem]:
    if not facts.newer('numpy', '2.3'):
        return []
    return [
        Problem(
            'numpy',
            f"numpy {facts.version('numpy')} breaks MMPose's own code",
            "From 2.3 on: 'np.int64 ... is not an instance of int', 'only 0-dimensional arrays "
            "can be converted'.",
            f'pip install {facts.need("numpy")}',
        )
    ]


def _checkpoints(facts: Facts) -> list[Problem]:
    if not facts.newer('torch', '2.6') or not facts.versions.get('mmengine'):
        return []
    pair = f'torch {facts.version("torch")} and checkpoints of MMEngine {facts.version("mmengine")}'
    why = (
        "From torch 2.6 on, load_from, resume and init_cfg fail with 'Weights only load failed'. "
        '`import hsjp_mm` puts that right, safely'
    )
    if 'hsjp_mm' in facts.errors:
        fix = 'Make `import hsjp_mm` work: install it, or see the other problems.'
        return [Problem('torch', f'{pair} do not work', f'{why}, but fails here.', fix)]
    return [
        Problem(
            'torch',
            f'{pair} work once hsjp_mm is imported',
            f'{why}, and works here.',
            'Nothing where a config or script uses hsjp_mm; elsewhere add to the config\n'
            "custom_imports = dict(imports=['hsjp_mm'])",
            breaks=False,
        )
    ]


def _gpu_ops(facts: Facts) -> list[Problem]:
    if facts.details.get('mmcv ops') != NO_GPU_OPS:
        return []
    return [
        Problem(
            'mmcv',
            f'mmcv {facts.version("mmcv")} has CPU ops only, and there is a GPU',
            "Pretraining and top-down models do not need them there. MMDetection does: 'nms_impl: "
            "implementation for device cuda:0 not found'.",
            f'pip uninstall -y mmcv\nFORCE_CUDA=1 {_build_mmcv(facts).splitlines()[0]}',
            breaks=False,
        )
    ]


def _mim(facts: Facts) -> list[Problem]:
    if facts.package is None or (facts.mim and not facts.editable):
        return []
    return [
        Problem(
            'hsjp_mm',
            '`mim train hsjp_mm ...` finds no config in this installation of hsjp_mm',
            'mim looks for hsjp_mm/.mim in site-packages, where an editable install has nothing.',
            'Write `mim train mmpose PATH/TO/CONFIG`, or install without -e (uv: --no-editable).',
            breaks=False,
        )
    ]


def _unneeded(facts: Facts) -> list[Problem]:
    return [
        Problem(
            name,
            f'`pip check` says that {user} requires {name}, which is not installed',
            f'{user} lists it, and nothing that hsjp_mm uses imports it.',
            'Nothing.',
            breaks=False,
        )
        for name, user in UNNEEDED.items()
        if facts.versions.get(user) and not facts.versions.get(name)
    ]


def _ranges(facts: Facts, explained: set[str]) -> list[Problem]:
    """Name what setup.py does not allow, except packages whose fix is already told."""
    conflicts = versions.find_conflicts(facts.ranges, facts.versions)
    conflicts = [conflict for conflict in conflicts if conflict.name not in explained]
    problems = []
    absent = [conflict.name for conflict in conflicts if conflict.installed is None]
    if "No module named 'cv2'" in facts.errors.get('opencv-python', ''):
        absent.append('opencv-python')
    if 'hsjp_mm' in facts.errors and facts.package is None:
        absent.append('hsjp_mm')
    if absent:
        problems.append(
            Problem(
                absent[0],
                f'Not installed: {", ".join(absent)}',
                'hsjp_mm cannot be imported without.',
                'In a clone of hsjp_mm:\nuv sync\nOr with pip, as the README tells:\n'
                'pip install --no-cache-dir --no-build-isolation -c constraints.txt .',
            )
        )
    for name, installed, needed in conflicts:
        if installed is None:
            continue
        fix = f'pip install {facts.need(name)}'
        if name == 'python':
            fix = f'Make an environment with Python {needed}.'
        elif name == 'mmcv':
            fix = _reinstall(facts, 'mmcv')
        elif name == 'torch':
            fix += ' torchvision\nThen compile mmcv again, which fits one torch only.'
        what = f'{name} {installed} is outside of {name}{needed}'
        problems.append(Problem(name, what, '`import hsjp_mm` refuses it.', fix))
    return problems


# Printing -----------------------------------------------------------------------------------------


def format_page(facts: Facts, problems: list[Problem]) -> str:
    """Lay out the page, at most `WIDTH` columns wide where no path is longer."""
    lines = ['hsjp_mm doctor', '']
    lines += _format_table(facts)
    breaking = [problem for problem in problems if problem.breaks]
    notes = [problem for problem in problems if not problem.breaks]
    for title, group in ('Will break', breaking), ('Notes', notes):
        if group:
            lines += ['', f'{title} ({len(group)})']
        for number, problem in enumerate(group, 1):
            lines += _format_problem(number, problem)
    lines.append('')
    if breaking:
        lines += [
            'A new environment made by `uv sync` in a clone of hsjp_mm has none of these. For pip,',
            'python tools/doctor.py --constraints > constraints.txt',
            'writes versions that work together; add `-c constraints.txt` to the commands above.',
        ]
    else:
        lines.append('Nothing known will break.')
    return '\n'.join(lines)


def _format_table(facts: Facts) -> list[str]:
    rows = [('', 'installed', 'needed', '')]
    for name in dict.fromkeys(['python', *PROBES, *facts.ranges]):
        package = name.partition(' ')[0]
        version, owners = facts.versions.get(package), facts.owners.get(package, [])
        needed = 'optional' if name in OPTIONAL else facts.ranges.get(name, '')
        remark = facts.details.get(name, '')
        if name == package and owners not in ([], [package]):
            remark = f'folder of {" and ".join(owners)}'
        elif name in facts.errors and (version is not None or owners):
            remark = 'does not work'
        shown = '-' if version is None else (version or '?')
        rows.append((name, shown if name == package else '', needed, remark))
    a, b, c = (max(len(row[column]) for row in rows) + 2 for column in range(3))
    table = [f'  {name:{a}}{has:{b}}{needs:{c}}{remark}' for name, has, needs, remark in rows]
    return [line.rstrip() for line in table] + _format_own(facts)


def _format_own(facts: Facts) -> list[str]:
    if facts.package is None:
        return []
    kind = 'editable' if facts.editable else 'not editable'
    return ['', f'  hsjp_mm is {kind}: {facts.package}', f'  its .mim: {facts.mim or "none"}']


def _format_problem(number: int, problem: Problem) -> list[str]:
    lines = _wrap(problem.what, f'  {number}. ') + _wrap(problem.why, '     why: ')
    for index, line in enumerate(problem.fix.splitlines()):
        lines += _wrap(line, '          ' if index else '     fix: ')
    return lines


def _wrap(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=' ' * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def read_constraints(path: Path) -> list[str]:
    """Read the pinned versions from pyproject.toml."""
    import tomllib  # new in Python 3.11, while the page has to open on older ones too

    settings = tomllib.loads(path.read_text(encoding='utf-8'))
    return settings['tool']['uv']['constraint-dependencies']


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--constraints', action='store_true', help='print the pinned versions')
    if parser.parse_args().constraints:
        path = HERE.parents[1] / 'pyproject.toml'
        if not path.is_file() or importlib.util.find_spec('tomllib') is None:
            parser.exit(
                2,
                'doctor: --constraints wants a clone of hsjp_mm, for its pyproject.toml, '
                'and Python 3.11 or newer\n',
            )
        print('\n'.join(read_constraints(path)))
        return 0
    print('Trying the imports, in about 15 seconds ...', file=sys.stderr)
    facts = collect_facts()
    problems = find_problems(facts)
    print(format_page(facts, problems))
    return int(any(problem.breaks for problem in problems))


if __name__ == '__main__':
    sys.exit(main())
