"""Names at the top level of a config that nothing reads.

A config computes its data sets and its model from names such as ``data_root``. A child that sets
one of them anew comes too late: its base has already been computed.
"""

import ast
import difflib
import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

ALSO_READ = (
    'auto_scale_lr', 'compile', 'custom_imports', 'dist_cfg', 'find_unused_parameters',
    'model_wrapper_cfg', 'runner_type', 'sync_bn', 'tta_model', 'tta_pipeline',
)  # fmt: skip
"""By MMEngine, MMPose and MMDetection, beside the arguments of the Runner."""
SHOWN = 3


@dataclass(frozen=True)
class UnreadName:
    """A name that nothing reads.

    Attributes:
        name: at the top level.
        instead: the dotted keys to set in its place, the nearest first; perhaps none.
    """

    name: str
    instead: tuple[str, ...]

    def __str__(self) -> str:
        text = f'{self.name} is set at the top level, where nothing reads it'
        if not self.instead:
            return text
        rest = len(self.instead) - SHOWN
        more = f' and {rest} more' if rest > 0 else ''
        return f'{text}: set {", ".join(self.instead[:SHOWN])}{more}'


def warn_of_unread_names(path: str | Path, config: 'Config', options: Iterable[str] = ()) -> None:
    """Log a warning for each name that :func:`unread_names` finds."""
    from mmengine.logging import print_log

    for unread in unread_names(path, config, options):
        print_log(f'{path}: {unread}', 'current', logging.WARNING)


def unread_names(
    path: str | Path, config: 'Config', options: Iterable[str] = ()
) -> list[UnreadName]:
    """Find what a config sets at its top level in vain.

    These are the names that the file itself sets, not its bases, or an option does, and that
    neither the file nor the Runner reads; but of them only those whose value is in effect nowhere,
    and which the bases have too, or which are a key somewhere, or nearly the Runner's. Others may
    be notes of the user's. A file without bases, such as a run's, has its names for show.

    Args:
        path: of the config's file.
        config: as read from there, with the options merged.
        options: dotted keys that were given beside the file.

    Examples:
        >>> config = Config.fromfile('my_hsjp.py')  # with data_root = 'mine/'
        >>> print(*unread_names('my_hsjp.py', config))
        data_root is set at the top level, where nothing reads it: set
        train_dataloader.dataset.data_root, val_dataloader.dataset.data_root, …
    """
    from mmengine.config import Config
    from mmengine.runner import Runner

    read = {*inspect.signature(Runner.__init__).parameters, *ALSO_READ}
    optional = {key.split('.')[0] for key in options} - read
    bases = Config._get_base_files(str(path))
    own = _set_in_vain(Path(path)) & set(config) - read if bases else set()
    earlier: dict[str, Any] = {}
    for base in bases if own else ():
        base_path, _ = Config._get_cfg_path(base, str(path))
        earlier |= Config.fromfile(base_path).to_dict()
    if optional:
        earlier |= {
            key: value for key, value in Config.fromfile(path).to_dict().items() if key not in own
        }
    values = config.to_dict()
    effective = list(_walk({key: values[key] for key in values if key in read}))
    found = []
    for name in sorted((own | optional) & set(values)):
        value = values[name]
        if (name in earlier and earlier[name] == value) or _places(effective, name, value):
            continue
        instead = [place for place, key, _ in effective if key == name]
        if name in earlier:
            instead = _places(effective, name, earlier[name]) or instead
        elif not instead:
            instead = difflib.get_close_matches(name, read, 1, cutoff=0.85)
        if instead or name in earlier:
            found.append(UnreadName(name, tuple(instead)))
    return found


def _set_in_vain(path: Path) -> set[str]:
    """The names that a config's own file sets and does not use."""
    if path.suffix != '.py':
        from mmengine import load

        return set(load(path)) - {'_base_'}
    names = [node for node in ast.walk(_syntax(path)) if isinstance(node, ast.Name)]
    used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    return {node.id for node in names if isinstance(node.ctx, ast.Store)} - used - {'_base_'}


def _syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'))


def _walk(value: Any, place: str = '', key: str = '') -> Iterator[tuple[str, str, Any]]:
    """All parts of a config: dotted key, the last name in it, value."""
    if place:
        yield place, key, value
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _walk(part, f'{place}.{name}' if place else str(name), str(name))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _walk(part, f'{place}.{index}', key)


def _places(effective: Iterable[tuple[str, str, Any]], name: str, value: Any) -> list[str]:
    """Where a value stands, under its own name first; a number, only there."""
    telling = not isinstance(value, int | float | type(None))
    places = [
        (key != name, place)
        for place, key, other in effective
        if other == value and (telling or key == name)
    ]
    return [place for _, place in sorted(places, key=lambda entry: entry[0])]
