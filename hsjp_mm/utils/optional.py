"""Packages that only some functions need: an extra of setup.py in place of a requirement."""

import importlib
from types import ModuleType

DISTRIBUTIONS = {'skimage': 'scikit-image', 'sklearn': 'scikit-learn'}
"""What pip installs, where it is not called like the package that is imported."""


def import_optional(module: str, use: str) -> ModuleType:
    """Import a module where it is used, so that nothing else fails without it.

    Args:
        module: Such as 'sklearn.cluster'.
        use: What cannot be done without it, for the message.

    Raises:
        ImportError: It is not installed. The message names the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition('.')[0]
        if error.name != package:  # it is there, but something that it needs is not
            raise
        name = DISTRIBUTIONS.get(package, package)
        raise ImportError(f'{use} needs {name}: run `pip install {name}`', name=package) from error
