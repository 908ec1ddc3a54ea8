"""The versions that hsjp_mm works with, and the check of them that ``import hsjp_mm`` makes.

The numbers stand in setup.py alone. An installed hsjp_mm, editable or not, reads them back from its
own metadata; a source tree that is not installed reads them from the setup.py beside it; a bare
copy of the package has neither, and then nothing is checked.

This module imports the standard library only: tools/doctor.py loads it without the package, where
nothing else may work. Versions are therefore compared here and not by ``packaging``, which may be
missing there and whose import alone takes longer than the check may.
"""

from __future__ import annotations

import ast
import operator
import platform
import re
from importlib import metadata, util
from pathlib import Path
from typing import NamedTuple

_COMPARE = {
    '==': operator.eq,
    '!=': operator.ne,
    '>=': operator.ge,
    '<=': operator.le,
    '>': operator.gt,
    '<': operator.lt,
}
_BOUND = r'([!=<>]=|[<>])([\d.]+)'
_REQUIREMENT = re.compile(rf'([\w.-]+)((?:{_BOUND},?)*)')


class Conflict(NamedTuple):
    """A requirement that is not met.

    Attributes:
        name: The distribution, or 'python'.
        installed: Its version; None if it is not installed.
        needed: The ranges, such as '>=2.6,<3'; '' if any version will do.
    """

    name: str
    installed: str | None
    needed: str


class Requirement(NamedTuple):
    """A line of setup.py.

    Attributes:
        name: The distribution.
        range: Such as '>=2.6,<3'; '' if any version will do.
        extra: The extra that it belongs to; '' if hsjp_mm cannot be imported without it.
    """

    name: str
    range: str
    extra: str


def supported_ranges() -> dict[str, str]:
    """Read the ranges that setup.py states.

    Returns:
        The ranges by distribution, extras left out, and Python's own under 'python':
        ``{'python': '>=3.11', 'torchvision': '', 'numpy': '<2', ...}``. Empty for a bare copy of
        the package, which has neither metadata nor a setup.py.

    Raises:
        ValueError: If a requirement is written in a form that this module cannot read.
    """
    stated = _stated()
    if stated is None:
        return {}
    python, requirements = stated
    return {'python': python, **{r.name: r.range for r in requirements if not r.extra}}


def supported_extras() -> list[Requirement]:
    """Read what the extras of setup.py add; empty for a bare copy of the package.

    Raises:
        ValueError: If a requirement is written in a form that this module cannot read.
    """
    stated = _stated()
    return [] if stated is None else [r for r in stated[1] if r.extra]


def _stated() -> tuple[str, list[Requirement]] | None:
    """Python's range and all requirements, of the metadata or of setup.py."""
    try:
        own = metadata.distribution('hsjp_mm')
        [python] = own.metadata.get_all('Requires-Python', [''])
        return python, [_read_requirement(line) for line in own.requires or []]
    except metadata.PackageNotFoundError:
        setup = Path(__file__).resolve().parents[2] / 'setup.py'
        return _read_setup(setup) if setup.is_file() else None


def _read_requirement(line: str) -> Requirement:
    """Read a line of the metadata, such as 'pandas<3; extra == "mim"'."""
    requirement, _, marker = line.partition(';')
    extra = re.fullmatch(r"""extra==["']([\w-]+)["']""", marker.replace(' ', ''))
    match = _REQUIREMENT.fullmatch(requirement.replace(' ', ''))
    if match is None or (marker and extra is None):
        raise ValueError(f'hsjp_mm cannot read its own requirement {line!r}; write name==1.2')
    return Requirement(match[1], match[2], extra[1] if extra else '')


def _read_setup(path: Path) -> tuple[str, list[Requirement]]:
    tree = ast.parse(path.read_text(encoding='utf-8'))
    keywords = {node.arg: node.value for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    python, lines, extras = (
        ast.literal_eval(keywords[key])
        for key in ('python_requires', 'install_requires', 'extras_require')
    )
    lines += [f'{line}; extra == "{name}"' for name, more in extras.items() for line in more]
    return python, [_read_requirement(line) for line in lines]


def pinned_versions(path: Path) -> list[str]:
    """Read the versions that pyproject.toml pins, as pip takes them with ``-c``."""
    text = path.read_text(encoding='utf-8')
    # a list of strings is the same in TOML and Python, whose tomllib is new in version 3.11
    match = re.search(r'^constraint-dependencies = (\[.*?^\])', text, re.DOTALL | re.MULTILINE)
    if match is None:
        raise ValueError(f'{path} has no list constraint-dependencies')
    return ast.literal_eval(match[1])


def installed_versions(names: list[str]) -> dict[str, str | None]:
    """Look up what is installed, without importing it.

    Args:
        names: Distributions whose import name is the same, or 'python'.

    Returns:
        The version of each. None if it is not installed, also when its folder belongs to another
        distribution, as ``mmcv`` may to mmcv-lite. '' if there is a module of that name that no
        distribution owns, as in a source tree on PYTHONPATH: its version is unknown.
    """
    return {name: _installed_version(name) for name in names}


def _installed_version(name: str) -> str | None:
    if name == 'python':
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        if util.find_spec(name) is None:
            return None
        packages = getattr(metadata, 'packages_distributions', dict)  # new in Python 3.10
        owned: dict[str, list[str]] = packages()
        return None if name in owned else ''


def release(version: str) -> tuple[int, ...]:
    """Read the release number of a version.

    Pre-releases and local builds count as their release, for a container's '2.6.0a0+build' is
    meant to be used as 2.6.

    Args:
        version: Such as '2.11.0+cu130'.

    Returns:
        The numbers without trailing zeros, so that 2.1 equals 2.1.0: ``(2, 11)``.

    Raises:
        ValueError: If `version` does not start with a number.
    """
    match = re.match(r'\d+(\.\d+)*', version)
    if match is None:
        raise ValueError(f'version must start with a number, such as 2.1.0, not {version!r}')
    numbers = [int(number) for number in match[0].split('.')]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def satisfies(version: str, ranges: str) -> bool:
    """Tell whether a version lies within all ranges.

    Args:
        version: Such as '2.11.0+cu130'.
        ranges: Comma-separated, such as '>=2.6,<3'; '' allows every version.
    """
    bounds = re.findall(_BOUND, ranges)
    return all(_COMPARE[sign](release(version), release(bound)) for sign, bound in bounds)


def find_conflicts(ranges: dict[str, str], installed: dict[str, str | None]) -> list[Conflict]:
    """Compare what is installed with what is needed.

    Args:
        ranges: As `supported_ranges` returns them.
        installed: As `installed_versions` returns them. A version of '' is not judged.

    Returns:
        The requirements that are not met, in the order of `ranges`.
    """
    conflicts = []
    for name, needed in ranges.items():
        version = installed[name]
        if version is None or (version and not satisfies(version, needed)):
            conflicts.append(Conflict(name, version, needed))
    return conflicts


class VersionError(RuntimeError):
    """What is installed does not fit together.

    Not an ImportError, which MMEngine's registries swallow, to say only that a class is not
    registered.
    """


def check_versions() -> None:
    """Stop unless every dependency is installed in a version that setup.py allows.

    Raises:
        VersionError: Naming in one line what is installed and what is needed.
    """
    ranges = supported_ranges()
    conflicts = find_conflicts(ranges, installed_versions(list(ranges)))
    if not conflicts:
        return
    found = ', '.join(
        f'{name}{needed} ({"not installed" if version is None else f"{version} is installed"})'
        for name, version, needed in conflicts
    )
    raise VersionError(f'hsjp_mm needs {found}; run `python {doctor()}` for the fix of each')


def doctor() -> Path:
    """The script of the doctor: a file in a wheel, of which a clone has a link to its tools/."""
    return (Path(__file__).resolve().parents[1] / '.mim' / 'tools' / 'doctor.py').resolve()
