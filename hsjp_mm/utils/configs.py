"""Configs that a user names on the command line: found, read and changed, or refused in words."""

import contextlib
import difflib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

SUFFIXES = ('.py', '.json', '.yaml', '.yml')


def config_file(name: str, argument: str = 'config') -> Path:
    """Find the file of a config.

    Args:
        name: its path, or ``CODEBASE::PATH`` for one that comes with an installed package of
            OpenMMLab or with hsjp_mm.
        argument: what names it in messages.

    Raises:
        FileNotFoundError: no such file, or no such package.
        ValueError: a folder, or a file of another kind.
    """
    codebase, sign, inside = name.partition('::')
    path = _configs_of(codebase, f'{argument}={name!r}') / inside if sign else Path(name)
    if path.is_dir():
        raise ValueError(f'{argument}={name!r} is a folder; give a config file in it')
    if not path.is_file():
        raise FileNotFoundError(f'{argument}={name!r} does not exist{_nearest(path, name)}')
    if path.suffix not in SUFFIXES:
        raise ValueError(f'{argument}={name!r} must be a config, which ends in .py')
    return path


def _configs_of(codebase: str, named: str) -> Path:
    spec = importlib.util.find_spec(codebase) if codebase.isidentifier() else None
    for folder in (spec and spec.submodule_search_locations) or ():
        if Path(folder, '.mim/configs').is_dir():
            return Path(folder, '.mim/configs')
    raise FileNotFoundError(
        f'{named}: {codebase!r} is no installed package with configs, such as mmpose, mmdet or '
        'hsjp_mm'
    )


def _nearest(path: Path, name: str) -> str:
    """'; is … meant?' with what is called alike in the last folder of the path that exists."""
    folder, last = path.parent, path.name
    while not folder.is_dir():
        folder, last = folder.parent, folder.name
    alike = difflib.get_close_matches(last, [p.name for p in folder.iterdir()], 1)
    return f'; is {name[: name.rindex(last)]}{alike[0]} meant?' if alike else ''


def parse_options(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` as MMEngine's DictAction does, which costs its import in time.

    Raises:
        ValueError: a pair without a key, or brackets that do not match.
    """
    options = {}
    for pair in pairs:
        key, sign, text = pair.partition('=')
        if not key or not sign:
            raise ValueError(f'cfg_options={pair!r} must be KEY=VALUE')
        try:
            options[key] = parse_value(text)
        except AssertionError as error:
            raise ValueError(f'cfg_options={pair!r} has brackets that do not match') from error
    return options


def parse_value(text: str) -> Any:
    """Read a value as MMEngine's DictAction does, but keep the spaces in texts, such as paths.

    Raises:
        AssertionError: MMEngine's, of brackets that do not match.
    """
    from mmengine.config.config import DictAction  # the stock one, see stock_options_with_spaces

    value = DictAction._parse_iterable(text)
    if isinstance(value, str):  # the whole of it, brackets too
        return text.strip('\'"')
    tight = re.sub(r'(?<=[\[(,]) +| +(?=[\]),])', '', text.strip('\'" '))
    return _with_spaces(DictAction._parse_iterable(tight.replace(' ', '\0')))


def _with_spaces(value: Any) -> Any:
    """Put spaces back where :func:`parse_value` hid them, which no argument has as NUL."""
    if isinstance(value, list | tuple):
        return type(value)(map(_with_spaces, value))
    return value.replace('\0', ' ') if isinstance(value, str) else value


@contextlib.contextmanager
def stock_options_with_spaces() -> Iterator[None]:
    """Have a script that imports MMEngine's DictAction inside read values as we do."""
    from mmengine import config
    from mmengine.config.config import DictAction

    class Action(DictAction):
        _parse_iterable = staticmethod(parse_value)

    config.DictAction = Action
    try:
        yield
    finally:
        config.DictAction = DictAction


def read_config(
    name: str,
    options: Iterable[str] | Mapping[str, Any] = (),
    argument: str = 'config',
    options_argument: str = 'cfg_options',
) -> 'Config':
    """Read a config and change it.

    Args:
        name, argument: as in :func:`config_file`.
        options: ``KEY=VALUE``, or already a dictionary.
        options_argument: what names them in messages.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a config that cannot be read, with the place in it; options that do not fit it.
    """
    path = config_file(name, argument)
    from mmengine.config import Config

    try:
        config = Config.fromfile(path)
    except Exception as error:  # a config is the user's code, and may raise anything
        raise ValueError(f'{argument}={name!r} cannot be read: {_told(error)}') from error
    try:
        config.merge_from_dict(
            dict(options) if isinstance(options, Mapping) else parse_options(options)
        )
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f'{options_argument}={options} does not fit {argument}={name!r}: {_told(error)}'
        ) from error
    return config


def _told(error: Exception) -> str:
    """What an error says, with the line of the config where it was raised, if it was in one."""
    place, frame = '', error.__traceback__
    while frame is not None:
        if '_base_' in frame.tb_frame.f_globals:  # MMEngine runs configs with this global alone
            place = f'{frame.tb_frame.f_code.co_filename}, line {frame.tb_lineno}: '
        frame = frame.tb_next
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, SyntaxError | OSError | ValueError):
        return f'{place}{text}'
    return f'{place}{type(error).__name__}: {text}'


def required(config: 'Config', key: str, hint: str = '') -> Any:
    """Get a part of a config by its dotted key.

    Args:
        hint: follows in the message.

    Raises:
        ValueError: it is missing, or None.
    """
    value: Any = config
    for name in key.split('.'):
        value = value.get(name) if isinstance(value, Mapping) or value is config else None
        if value is None:
            raise ValueError(f'config={str(config.filename)!r} has no {key}, or None there{hint}')
    return value


def checkpoint_in(init_cfg: Mapping | list | None) -> str | None:
    """The checkpoint that an ``init_cfg`` loads, alone or among others; it may be empty."""
    cfgs = init_cfg if isinstance(init_cfg, list) else [init_cfg or {}]
    return next((cfg['checkpoint'] for cfg in cfgs if 'checkpoint' in cfg), None)
