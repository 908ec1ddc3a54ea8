"""Names of a package that are imported when somebody asks for them."""

import ast
import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy_imports(
    package: str, file: str, otherwise: Callable[[str], Any] | None = None
) -> Callable[[str], Any]:
    """Make a package's ``__getattr__`` that imports what it imports ``if TYPE_CHECKING:``.

    So a module of the package that needs no torch can be imported without the others, which do,
    and type checkers and readers find each name in its usual place.

    Args:
        package: its ``__name__``.
        file: its ``__file__``.
        otherwise: is asked for other names, such as
            :func:`~hsjp_mm.utils.moved.moved_names`.
    """

    @functools.cache
    def places() -> dict[str, str]:
        return {
            alias.name: node.module
            for block in ast.parse(Path(file).read_text(encoding='utf-8')).body
            if isinstance(block, ast.If) and ast.unparse(block.test) == 'TYPE_CHECKING'
            for node in block.body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }

    def find(name: str) -> Any:
        if not name.startswith('_') and name in places():
            return getattr(importlib.import_module(places()[name]), name)
        if otherwise is not None:
            return otherwise(name)
        raise AttributeError(f'module {package!r} has no attribute {name!r}')

    return find
