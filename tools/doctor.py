"""Say on one page what is installed, what of it does not work together, and the fix for each.

    python tools/doctor.py                  the page; exit status 1 if something will break
    python tools/doctor.py --constraints    the pinned versions, for `pip install -c`

This runs with plain Python, in an environment where nothing else does: hsjp_mm/environment imports
the standard library only and is loaded by its path, for `import hsjp_mm` may fail.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve()


def load_environment() -> None:
    """Load hsjp_mm/environment by its path, in a clone or in a wheel (hsjp_mm/.mim/tools)."""
    folders = HERE.parents[1] / 'hsjp_mm' / 'environment', HERE.parents[2] / 'environment'
    folder = next(folder for folder in folders if folder.is_dir())
    spec = importlib.util.spec_from_file_location('environment', folder / '__init__.py')
    assert spec is not None and spec.loader is not None
    sys.modules['environment'] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules['environment'])


def main() -> int:
    load_environment()
    from environment import facts, page, problems, requirements  # type: ignore[import-not-found]

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--constraints', action='store_true', help='print the pinned versions')
    if parser.parse_args().constraints:
        path = HERE.parents[1] / 'pyproject.toml'  # of the clone, or in .mim of a wheel
        if not path.is_file():
            parser.exit(2, f'doctor: --constraints needs {path}, which is not there\n')
        print('\n'.join(requirements.pinned_versions(path)))
        return 0
    print('Trying the imports, in about 15 seconds ...', file=sys.stderr)
    found = facts.collect_facts()
    told = problems.find_problems(found)
    print(page.format_page(found, told))
    return int(any(problem.breaks for problem in told))


if __name__ == '__main__':
    sys.exit(main())
