"""What is installed, and which of it can be imported: facts for the doctor to judge.

Imports the standard library only, and tries every import in a child process. (MMEngine's
`collect_env` imports torch, and `pip check` sees neither broken binaries nor two packages that
share a folder.)
"""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from . import requirements

TIMEOUT = 300  # seconds for one child process; on a cold disk torch alone may take a minute
NO_GPU_OPS = 'ops built without CUDA, beside a GPU'
OLD_GPU_OPS = 'ops built for other GPUs than this one'
OLD_GPU_TORCH = 'which it cannot use'

# What is tried, by the name of the distribution (of which 'mmcv ops' is a part). Each runs in a
# child process and may leave a remark in `detail`.
PROBES = {
    'numpy': 'import numpy',
    'setuptools': 'import pkg_resources',
    'torch': f"""
import torch
detail = f'built for CUDA {{torch.version.cuda}}' if torch.version.cuda else 'built for the CPU'
gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
detail += f', {{gpus}} x {{torch.cuda.get_device_name(0)}}' if gpus else ', no usable GPU'
if gpus:
    try:
        torch.ones(1).cuda() + 1
    except RuntimeError as problem:
        if 'no kernel image' not in str(problem):
            raise
        detail += {', ' + OLD_GPU_TORCH!r}
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
    except RuntimeError as problem:
        detail = {OLD_GPU_OPS!r} if 'no kernel image' in str(problem) else {NO_GPU_OPS!r}
""",
    'mmdet': 'import mmdet.models',
    'mmpose': 'import mmpose.datasets, mmpose.models',
    'mmpretrain': 'import mmpretrain',
    'scikit-learn': 'import sklearn.cluster',
    'scikit-image': 'import skimage.segmentation',
    'h5py': 'import h5py',
    'lmdb': 'import lmdb',
    'hsjp_mm': 'import hsjp_mm',
}
MODULES = {
    'opencv-python': 'cv2',
    'setuptools': 'pkg_resources',
    'scikit-learn': 'sklearn',
    'scikit-image': 'skimage',
}
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


@dataclass
class Facts:
    """What is known of an environment.

    Attributes:
        versions: Version by distribution, and Python's; None if it is not installed.
        ranges: What setup.py allows, as `supported_ranges` of requirements.py returns it.
        extras: What the extras of setup.py add.
        errors: The error by name in `PROBES`, where the import failed.
        details: The remark by name in `PROBES`, where it succeeded.
        owners: The distributions that hold files in a folder, by folder.
        editable: Whether hsjp_mm is installed in editable mode.
        package: The folder of hsjp_mm; None if Python cannot find it.
        mim: Its `.mim` folder; None if it has none.
        machine: System and processor, such as 'linux x86_64'.
        compiles_always: Whether Python may not keep what it compiles, and torch is not compiled.
    """

    versions: dict[str, str | None]
    ranges: dict[str, str]
    extras: list[requirements.Requirement] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    owners: dict[str, list[str]] = field(default_factory=dict)
    editable: bool = False
    package: str | None = None
    mim: str | None = None
    machine: str = ''
    compiles_always: bool = False

    def version(self, name: str) -> str:
        """The version in words."""
        if self.versions.get(name) is not None:
            return self.versions[name] or 'of unknown version'
        owners = self.owners.get(name)
        return f'from {", ".join(owners)}' if owners else '(not installed)'

    def extra(self, name: str) -> requirements.Requirement | None:
        """What stands of a distribution in an extra; None if it is in none or always needed."""
        found = [requirement for requirement in self.extras if requirement.name == name]
        return found[0] if found and name not in self.ranges else None

    def need(self, name: str) -> str:
        """The requirement as pip takes it."""
        optional = self.extra(name)
        requirement = name + (optional.range if optional else self.ranges.get(name, ''))
        return f"'{requirement}'" if re.search('[<>]', requirement) else requirement

    def cuda(self) -> str:
        """What torch is built for, such as '12.1'; 'cpu' without CUDA, '' if torch fails."""
        detail = self.details.get('torch', '')
        version = re.match(r'built for CUDA ([\d.]+)', detail)
        return version[1] if version else 'cpu' * detail.startswith('built for the CPU')

    def newer(self, name: str, version: str) -> bool:
        """Whether `name` is installed in `version` or a later one."""
        return requirements.satisfies(self.versions.get(name) or '0', f'>={version}')


def collect_facts() -> Facts:
    """Look at the environment of the Python that runs this."""
    ranges, extras = requirements.supported_ranges(), requirements.supported_extras()
    errors, details = try_imports(PROBES)
    names = {*ranges, *(extra.name for extra in extras), *PROBES, *UNNEEDED, *UNNEEDED.values()} - {
        'mmcv ops'
    }
    spec = importlib.util.find_spec('hsjp_mm')
    package = Path(spec.origin).parent if spec is not None and spec.origin else None
    return Facts(
        versions=requirements.installed_versions(sorted(names)),
        ranges=ranges,
        extras=extras,
        errors=errors,
        details=details,
        owners=find_owners(SHARED_FOLDERS),
        editable=is_editable('hsjp_mm'),
        package=str(package) if package else None,
        mim=str(package / '.mim') if package and (package / '.mim').is_dir() else None,
        machine=f'{sys.platform} {platform.machine()}',
        compiles_always=sys.dont_write_bytecode and not is_compiled('torch'),
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


def is_compiled(package: str) -> bool:
    """Tell whether Python finds its own compiled form of a package; True if there is no package."""
    spec = importlib.util.find_spec(package)
    return spec is None or spec.cached is None or Path(spec.cached).is_file()
