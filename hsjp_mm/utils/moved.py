"""Names of earlier versions: they go on working, with a warning, until 1.0."""

import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES: dict[str, str | tuple[str, ...]] = {
    'hsjp_mm.analysis.compare_inits': (
        'hsjp_mm.comparison.execution',
        'hsjp_mm.comparison.plan',
    ),
    'hsjp_mm.analysis.compare_runs': (
        'hsjp_mm.comparison.runs',
        'hsjp_mm.comparison.verdicts',
        'hsjp_mm.comparison.fine_tuning_config',
        'hsjp_mm.comparison.logs',
    ),
    'hsjp_mm.analysis.pose_probes': 'hsjp_mm.probing.pose',
    'hsjp_mm.analysis.probes': 'hsjp_mm.probing.classification',
    'hsjp_mm.conversion': 'hsjp_mm.checkpoint.conversion',
    'hsjp_mm.coverage': 'hsjp_mm.checkpoint.coverage',
    'hsjp_mm.datasets.bottomup_transforms': 'hsjp_mm.datasets.transforms.bottomup',
    'hsjp_mm.datasets.image_pyramid': 'hsjp_mm.datasets.transforms.pyramid',
    'hsjp_mm.datasets.sampler': 'hsjp_mm.datasets.samplers',
    'hsjp_mm.datasets.topdown_transforms': 'hsjp_mm.datasets.transforms.topdown',
    'hsjp_mm.datasets.toy_people': 'hsjp_mm.datasets.toy',
    'hsjp_mm.distributed': 'hsjp_mm.ops.distributed',
    'hsjp_mm.engine.bottomup_hook': 'hsjp_mm.engine.hooks.bottomup_visualization_hook',
    'hsjp_mm.engine.freeze_hook': 'hsjp_mm.engine.hooks.freeze_hook',
    'hsjp_mm.engine.pose_probe_hook': 'hsjp_mm.engine.hooks.pose_probe_hook',
    'hsjp_mm.evaluation.columns': 'hsjp_mm.evaluation.pck',
    'hsjp_mm.models.losses.clustering_loss': 'hsjp_mm.models.losses.contrastive_loss',
    'hsjp_mm.models.part_branches': 'hsjp_mm.models.utils.part_branches',
    'hsjp_mm.models.part_groups': 'hsjp_mm.models.utils.part_groups',
    'hsjp_mm.patches': 'hsjp_mm.ops.patches',
    'hsjp_mm.seeds': 'hsjp_mm.ops.seeds',
    'hsjp_mm.versions': 'hsjp_mm.environment.requirements',
    'hsjp_mm.visualization.bottomup_boards': 'hsjp_mm.visualization.bottomup',
    'hsjp_mm.visualization.compare_report': 'hsjp_mm.comparison.report',
    'hsjp_mm.visualization.jigclu_visualizer': 'hsjp_mm.visualization.jigclu',
    'hsjp_mm.visualization.keypoint_error_figures': 'hsjp_mm.visualization.keypoint_errors',
    'hsjp_mm.visualization.report': 'hsjp_mm.comparison.report_of_0_1',
    'hsjp_mm.visualization.puzzle_visualizer': 'hsjp_mm.visualization.hsjp',
}
"""Where the modules of version 0.1 are now; of one that was cut in several, all of them."""

RENAMED = {
    'colour_maps': 'color_maps',
    'grid_centres': 'grid_centers',
    'patch_colours': 'patch_colors',
}
"""What has another name in these modules today, by the old one."""


def _warn(old: str, new: str, stacklevel: int = 3) -> None:
    message = f'{old} is now {new}; the old name goes with version 1.0'
    warnings.warn(message, FutureWarning, stacklevel)


class _MovedModules(MetaPathFinder, Loader):
    """Imports a module of :data:`MODULES` as a copy of what stands at its new place."""

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        new = MODULES[module.__name__]
        places = (new,) if isinstance(new, str) else new
        _warn(module.__name__, ', '.join(places))
        for place in places:
            names = vars(importlib.import_module(place))
            vars(module).update({k: v for k, v in names.items() if not k.startswith('__')})
            vars(module).update({old: names[k] for old, k in RENAMED.items() if k in names})


def find_moved_modules() -> None:
    """Let the modules of version 0.1 be imported by their old names."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())


def moved_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Make a module's ``__getattr__`` that knows names of version 0.1.

    Args:
        module: The module's ``__name__``.
        names: ``'module.name'`` of today by the old name.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f'module {module!r} has no attribute {name!r}')
        _warn(f'{module}.{name}', names[name])
        place, _, new = names[name].rpartition('.')
        return getattr(importlib.import_module(place), new)

    return find


def with_new_names(arguments: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Bring arguments, such as those of a nested dict, to their names of today, with a warning.

    Args:
        arguments: By name.
        names: The argument of today by the old one.

    Raises:
        TypeError: Both are given.
    """
    arguments = dict(arguments)
    for old in names.keys() & arguments.keys():
        new = names[old]
        if new in arguments:
            raise TypeError(f'{old} is the name of {new} in version 0.1: give one of them')
        _warn(f'argument {old}', new, stacklevel=4)
        arguments[new] = arguments.pop(old)
    return arguments


def old_arguments(**names: str) -> Callable[[Callable], Callable]:
    """Decorate a function that also takes arguments by their names of version 0.1.

    Args:
        names: The argument of today by the old one.

    Raises:
        TypeError: Both are given.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*args, **kwargs):
            return function(*args, **with_new_names(kwargs, names))

        return call

    return decorate


def old_class(name: str, new: type) -> type:
    """Make a class of version 0.1 of the one that has taken its place: it warns when it is built.

    Args:
        name: The class's name in version 0.1, to be registered beside the new one.
        new: The class of today, with the same arguments.
    """

    def init(self, *args, **kwargs) -> None:
        _warn(name, new.__name__)
        super(cls, self).__init__(*args, **kwargs)

    doc = f'The name of :class:`{new.__name__}` in version 0.1.'
    cls: Any = type(name, (new,), {'__init__': init, '__doc__': doc, '__module__': new.__module__})
    return cls
