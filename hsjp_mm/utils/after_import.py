"""Do something once another package has been imported, without importing it oneself."""

import importlib.util
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def after_import(name: str, function: Callable[[], object]) -> None:
    """Call a function after the import of a package; at once if it has been imported.

    So ``import hsjp_mm`` costs little where nobody needs MMEngine, as for ``hsjp-mm --help``, and
    MMEngine is told of hsjp_mm all the same, whichever is imported first.

    Args:
        name: of the top-level package.
        function: what to call.
    """
    module = sys.modules.get(name)
    if module is None or getattr(module.__spec__, '_initializing', False):
        sys.meta_path.insert(0, _Notifier(name, function))
    else:
        function()


class _Notifier(MetaPathFinder):
    """Finds one package by the other finders, once, and has its loader call a function."""

    def __init__(self, name: str, function: Callable[[], object]):
        self.name = name
        self.function = function

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _NotifyingLoader(spec.loader, self.function)
        return spec


class _NotifyingLoader(Loader):
    def __init__(self, loader: Loader, function: Callable[[], object]):
        self.loader = loader
        self.function = function

    def __getattr__(self, name: str):  # what else a loader can do: resources, source, …
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self.loader  # as if nobody had been here
        self.loader.exec_module(module)
        self.function()
