"""Run a file of Python as the program, and keep warnings from the user that are not the user's."""

import sys
import warnings
from pathlib import Path
from types import ModuleType

HARMLESS = (
    'The metainfo config file',  # MMPose finds its own file, which its configs name relatively
    'pkg_resources is deprecated',  # MMEngine's and mim's imports
    r'`torch\.cuda\.amp\.',  # their calls under a newer torch
    r'torch\.meshgrid: in an upcoming release',  # MMDetection's and MMPose's calls
)
"""How the warnings of the stack begin that nobody who uses it can do anything about."""


def hide_harmless_warnings() -> None:
    """Show none of :data:`HARMLESS`, in processes that are forked from this one neither."""
    for message in HARMLESS:
        warnings.filterwarnings('ignore', message=message)


def run_script(path: str | Path) -> None:
    """Run a file as ``python PATH`` would, in this process and with ``sys.argv`` as it is.

    ``runpy.run_path`` puts the path into ``sys.argv``, and usage lines would then name the file in
    place of the command that the user typed.
    """
    module = ModuleType('__main__')
    module.__file__ = str(path)
    before = sys.modules['__main__']
    sys.modules['__main__'] = module
    try:
        exec(compile(Path(path).read_bytes(), str(path), 'exec'), vars(module))
    finally:
        sys.modules['__main__'] = before
