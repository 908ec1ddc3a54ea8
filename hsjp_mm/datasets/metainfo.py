"""Sets of keypoints, as data sets take them in ``metainfo``."""

import functools
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def parse_metainfo(metainfo: Mapping[str, Any]) -> dict:
    """MMPose's own ``parse_pose_metainfo``, without the import of its data sets and of torch.

    Args:
        metainfo: as MMPose takes it: the set itself, or ``from_file``, its file. A file that is not
            there is looked for in MMPose's ``configs/_base_/datasets``, as MMPose does.

    Raises:
        FileNotFoundError: no such file.
        ValueError: what is no set of keypoints.
    """
    stock, folder = _stock()
    name = metainfo.get('from_file')
    if name is not None:
        own = folder / '.mim/configs/_base_/datasets' / Path(name).name
        path = Path(name) if Path(name).is_file() else own
        if not path.is_file():
            raise FileNotFoundError(f'metainfo={str(name)!r} does not exist')
        metainfo = {'from_file': str(path)}
    try:
        return stock(metainfo)
    except (AssertionError, AttributeError, SyntaxError) as error:
        raise ValueError(f'metainfo={name!r} is no file of a keypoint set: {error}') from error


@functools.cache
def _stock() -> tuple[Callable[[Mapping], dict], Path]:
    """The function, of its file alone, and MMPose's folder."""
    package = importlib.util.find_spec('mmpose')
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError('MMPose is not installed: run `pip install mmpose==1.3.2`')
    folder = Path(package.submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location(
        f'{__name__}.stock', folder / 'datasets/datasets/utils.py'
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.parse_pose_metainfo, folder
