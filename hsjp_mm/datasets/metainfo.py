"""Sets of keypoints, as data sets take them in ``metainfo``."""

import functools
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hsjp_mm.ops.keypoint_orders import joint_names, other_side
from hsjp_mm.utils.keypoint_numbers import by_number


def parse_metainfo(metainfo: Mapping[str, Any]) -> dict:
    """MMPose's own ``parse_pose_metainfo``, without the import of its data sets and of torch.

    Args:
        metainfo: as MMPose takes it: the set itself, or ``from_file``, its file. A file that is not
            there is looked for in MMPose's ``configs/_base_/datasets``, as MMPose does.

    Raises:
        FileNotFoundError: no such file.
        ValueError: what is no set of keypoints.
    """
    stock, _ = _stock()
    name = metainfo.get('from_file')
    if name is not None:
        path = metainfo_file(name)
        if not path.is_file():
            raise FileNotFoundError(f'metainfo={str(name)!r} does not exist')
        metainfo = {'from_file': str(path)}
    try:
        return stock(metainfo)
    except (AssertionError, AttributeError, SyntaxError) as error:
        raise ValueError(f'metainfo={name!r} is no file of a keypoint set: {error}') from error


def metainfo_file(name: str) -> Path:
    """The file that ``from_file`` names, or the one of MMPose that stands in for it."""
    path = Path(name)
    return path if path.is_file() else _stock()[1] / '.mim/configs/_base_/datasets' / path.name


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
    return by_number(module.parse_pose_metainfo), folder


SIDES = {'left': (0, 255, 0), 'right': (255, 128, 0), '': (51, 153, 255)}
"""Colors of points and bones by their side, those that MMPose has for COCO."""
LOWER = ('hip', 'knee', 'ankle', 'foot', 'toe', 'heel')
LIMBS = (
    ('hip', 'knee'), ('knee', 'ankle'), ('ankle', 'heel'), ('ankle', 'big_toe'), ('pelvis', 'hip'),
    ('neck', 'shoulder'), ('shoulder', 'elbow'), ('elbow', 'wrist'), ('nose', 'eye'),
    ('eye', 'ear'),
)  # fmt: skip
TRUNK = (('pelvis', 'spine'), ('spine', 'neck'), ('neck', 'jaw'), ('jaw', 'head_top'))


def joint_set_metainfo(joint_set: str) -> dict:
    """What MMPose's code wants to know of a set of :mod:`~hsjp_mm.ops.keypoint_orders`.

    Its ``sigmas`` are empty, for nobody has measured how far persons who label such a set are
    apart; a metric that needs them fails.

    Raises:
        ValueError: no set of that name.
    """
    return parse_metainfo(joint_set_info(joint_set))


def joint_set_info(joint_set: str) -> dict:
    """The same as a config of MMPose's data sets writes it.

    Raises:
        ValueError: no set of that name.
    """
    names = joint_names(joint_set)
    sided = [
        tuple(f'{side}_{part}' if f'{side}_{part}' in names else part for part in limb)
        for side in ('left', 'right')
        for limb in LIMBS
    ]
    links = [link for link in (*TRUNK, *sided) if set(link) <= set(names)]
    return {
        'dataset_name': joint_set,
        'keypoint_info': {
            number: {
                'name': name,
                'type': 'lower' if any(part in name for part in LOWER) else 'upper',
                'swap': other_side(name) if other_side(name) != name else '',
                'color': _color(name),
            }
            for number, name in enumerate(names)
        },
        'skeleton_info': {
            number: {'link': link, 'color': _color(link[1])} for number, link in enumerate(links)
        },
        'joint_weights': [1.0] * len(names),
        'sigmas': [],
    }


def _color(name: str) -> tuple[int, int, int]:
    side = name.partition('_')[0]
    return SIDES.get(side, SIDES[''])
