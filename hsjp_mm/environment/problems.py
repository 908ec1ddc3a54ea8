"""What of an environment does not work together, and the fix for each.

Imports the standard library only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from . import requirements, wheels
from .facts import MODULES, NO_GPU_OPS, OLD_GPU_OPS, OLD_GPU_TORCH, PROBES, UNNEEDED, Facts


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
        *_setuptools(facts),
        *_gpu_ops(facts),
        *_mim(facts),
        *_unneeded(facts),
        *_extras(facts),
        *_bytecode(facts),
    ]
    problems += _ranges(facts, {problem.package for problem in problems if problem.breaks})
    return sorted(problems, key=lambda problem: not problem.breaks)


def _install_mmcv(facts: Facts) -> str:
    """The command for a ready-made wheel where there is one, else that which compiles."""
    wanted = facts.ranges.get('mmcv', '').lstrip('=')
    python, torch = (facts.versions.get(name) or '0' for name in ('python', 'torch'))
    if wheels.has_wheel(wanted, facts.machine, python, torch, facts.cuda()):
        return (
            f'mim install {facts.need("mmcv")}\n'
            f'It gets a ready-made wheel in place of compiling. {_get_mim(facts)}'
        )
    return f'{_compile_mmcv(facts)}\n{wheels.describe()}'


def _get_mim(facts: Facts) -> str:
    if facts.versions.get('openmim') is not None:
        return 'mim is installed.'
    return (
        f'mim comes with `pip install --no-deps {facts.need("openmim")}` and `pip install click '
        f'colorama model-index {facts.need("pandas")} pip requests rich tabulate`.'
    )


def _compile_mmcv(facts: Facts) -> str:
    return (
        f'pip install --no-cache-dir --no-build-isolation {facts.need("mmcv")}\n'
        f'It compiles for the torch that it finds, in minutes, and wants {facts.need("setuptools")}'
        ', wheel, ninja, psutil and a C++ compiler. FORCE_CUDA=1 before it adds the CUDA ops.'
    )


def _reinstall(facts: Facts, folder: str) -> str:
    """Remove every distribution that owns the folder, and install the right one."""
    owners = ' '.join(facts.owners.get(folder) or [folder])
    install = _install_mmcv(facts) if folder == 'mmcv' else f'pip install {facts.need(folder)}'
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
    conflicts = requirements.find_conflicts(facts.ranges, facts.versions)
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
    breaks = any(facts.extra(name) is None for name in names)
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


def _setuptools(facts: Facts) -> list[Problem]:
    misfit = facts.newer('setuptools', '70') and not facts.newer('setuptools', '71')
    if not misfit or not facts.versions.get('torch') or facts.newer('torch', '2.2'):
        return []
    return [
        Problem(
            'setuptools',
            f'setuptools {facts.version("setuptools")} does not fit torch {facts.version("torch")}',
            'Before 2.2 torch imports packaging from pkg_resources, where setuptools 70, and no '
            "other, does not have it: 'cannot import name 'packaging' from 'pkg_resources''. MMCV "
            'cannot be compiled then, and where there is a GPU, MMEngine fails when a run starts.',
            "pip install 'setuptools>=71,<81'",
            breaks=' x ' in facts.details.get('torch', ''),
        )
    ]


def _gpu_ops(facts: Facts) -> list[Problem]:
    """What the GPU cannot run: torch itself, or MMCV's ops."""
    if OLD_GPU_TORCH in facts.details.get('torch', ''):
        return [
            Problem(
                'torch',
                f'torch {facts.version("torch")} is not built for this GPU',
                "It fails on the GPU with 'no kernel image is available for execution on the "
                "device': the GPU is newer than this torch, or older than it supports.",
                f'pip install --upgrade {facts.need("torch")} torchvision\n'
                'Then compile mmcv, for which no ready-made wheel is as new, on the machine of the '
                f'GPU:\nFORCE_CUDA=1 {_compile_mmcv(facts).splitlines()[0]}',
            )
        ]
    ops = facts.details.get('mmcv ops')
    if ops not in (NO_GPU_OPS, OLD_GPU_OPS):
        return []
    what = {
        NO_GPU_OPS: f'mmcv {facts.version("mmcv")} has CPU ops only, and there is a GPU',
        OLD_GPU_OPS: f'mmcv {facts.version("mmcv")} has ops for other GPUs than this one',
    }
    message = {
        NO_GPU_OPS: 'nms_impl: implementation for device cuda:0 not found',
        OLD_GPU_OPS: 'no kernel image is available for execution on the device',
    }
    return [
        Problem(
            'mmcv',
            what[ops],
            'Pretraining and top-down models do not need them there. MMDetection does: '
            f"'{message[ops]}'.",
            'Compile it on the machine of the GPU, for which it then is:\n'
            f'pip uninstall -y mmcv\nFORCE_CUDA=1 {_compile_mmcv(facts).splitlines()[0]}',
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


def _install_absent(facts: Facts, absent: list[str]) -> str:
    lines = (
        'In a clone of hsjp_mm:\nuv sync\nOr with pip, as docs/install.md tells:\n'
        'pip install --no-cache-dir --no-build-isolation -c constraints.txt .'
    )
    wheel = _install_mmcv(facts)
    if 'mmcv' in absent and wheel.startswith('mim'):
        lines += f'\nmmcv before it:\n{wheel}'
    return lines


def _extras(facts: Facts) -> list[Problem]:
    """Name what an extra does not allow; what is absent is not missed until it is used."""
    problems = []
    for name, allowed, extra in facts.extras:
        version = facts.versions.get(name)
        if facts.extra(name) and version and not requirements.satisfies(version, allowed):
            problems.append(
                Problem(
                    name,
                    f'{name} {version} is outside of {name}{allowed}, of the extra {extra}',
                    'hsjp_mm is tested with that version only where it uses it.',
                    f'pip install {facts.need(name)}',
                    breaks=False,
                )
            )
    return problems


def _bytecode(facts: Facts) -> list[Problem]:
    if not facts.compiles_always:
        return []
    return [
        Problem(
            'python',
            'PYTHONDONTWRITEBYTECODE is set, so that every command compiles all of torch again',
            'Containers often set it. Each command then takes about twice as long to start.',
            'unset PYTHONDONTWRITEBYTECODE',
            breaks=False,
        )
    ]


def _ranges(facts: Facts, explained: set[str]) -> list[Problem]:
    """Name what setup.py does not allow, except packages whose fix is already told."""
    conflicts = requirements.find_conflicts(facts.ranges, facts.versions)
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
                _install_absent(facts, absent),
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
