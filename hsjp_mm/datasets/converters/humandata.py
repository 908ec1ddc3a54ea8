"""HumanData, the .npz of MMHuman3D.

Its parameters are pickled dictionaries inside the .npz; they are read without importing anything.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from hsjp_mm.checkpoint.unpickling import NUMPY, restricted_pickle
from hsjp_mm.datasets.converters.samples import (
    Conversion,
    Samples,
    box_of_xywh,
    numbers,
    parse_gender,
)
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.utils.files import existing_file, reading
from hsjp_mm.utils.progress import track

JOINTS = 190
PLACES: dict[str, tuple[int, ...]] = {
    **{name: (place,) for place, name in enumerate(joint_names('smpl_24')[:22])},
    'nose': (55,), 'right_eye': (56,), 'left_eye': (57,), 'right_ear': (58,), 'left_ear': (59,),
    'right_hip': (144, 2), 'left_hip': (145, 1), 'neck': (146, 12), 'head_top': (147, 186),
    'pelvis': (148, 0), 'thorax': (149,), 'spine': (150,), 'jaw': (151,), 'head': (152, 185),
}  # fmt: skip
"""Where joints are among HumanData's 190. Of some there are several: the first one that is labelled
is taken, that of data sets before that of SMPL."""
SET = 'spin_24'
PLAIN = ('image_path', 'bbox_xywh', 'smpl', 'meta')
POINTS = tuple(
    f'keypoints{axes}d{kind}{mask}'
    for axes in (2, 3)
    for kind in ('', '_original')
    for mask in ('', '_mask')
)
"""What is read of a file."""


def convert(source: str | Path, out: str | Path) -> Conversion:
    """Convert a file.

    Its points become SPIN's 24, which is what the data sets behind such files label.

    Args:
        source: ``.npz`` of ``image_path``, ``bbox_xywh`` (N, 4 or 5), and what there is of
            ``keypoints2d`` and ``keypoints3d`` (N, 190, …, or compressed to those of the mask; in
            newer files ``keypoints2d_original`` and ``keypoints3d_original``), ``smpl`` and
            ``meta``.
        out: The file to write.

    Raises:
        FileNotFoundError: It is missing.
        ValueError: It is not of that format, it has none of these labels, or its pickles hold more
            than plain values.
    """
    path = existing_file(source, 'source')
    content, keys = _read(path)
    where = f'source={str(source)!r}:'
    if missing := sorted({'image_path', 'bbox_xywh'} - content.keys()):
        raise ValueError(f'{where} it lacks {", ".join(missing)}')
    names = np.ravel(content['image_path']).tolist()
    number = len(names)
    boxes = numbers(content['bbox_xywh'], (number, -1), f'{where} bbox_xywh')
    image_key, space_key = (_key(content, key) for key in ('keypoints2d', 'keypoints3d'))
    points = _points(content, image_key, number, 3, where)
    joints = _points(content, space_key, number, 4, where)
    pose, shape, translation = _smpl(content.get('smpl'), number, where)
    if not any(part is not None and part.any() for part in (points, joints, pose)):
        raise ValueError(
            f'{where} it has no label in keypoints2d, keypoints3d, keypoints2d_original, '
            f'keypoints3d_original or smpl, and others are not read; its keys: {", ".join(keys)}'
        )
    genders = _genders(content, number)
    samples = Samples(
        path.name,
        body='none' if pose is None else 'smpl',
        keypoint_set='' if points is None else SET,
        joint_set='' if joints is None else SET,
    )
    for index in track(range(number), 'persons'):
        box = box_of_xywh(boxes[index, :4])
        if box is None:
            samples.leave_out('with an empty box')
            continue
        samples.add(
            id=index,
            image_path=str(names[index]).replace('\\', '/'),
            box=box,
            keypoints=None if points is None else points[index],
            joints=None if joints is None else joints[index],
            pose=None if pose is None else pose[index],
            shape=None if shape is None else shape[index],
            gender=genders[index],
        )
    if translation is not None:
        samples.notes.append('transl is not taken: whose camera it is before the file does not say')
    read = {*PLAIN, *(key + end for key in (image_key, space_key) for end in ('', '_mask'))}
    if unread := [key for key in keys if key not in read]:
        samples.notes.append(f'not read: {", ".join(unread)}')
    return samples.write(out)


def _key(content: dict[str, Any], key: str) -> str:
    """What a file calls points: newer ones call those of the data set so, beside those of fits."""
    return key if key in content else f'{key}_original'


def _points(
    content: dict[str, Any], key: str, number: int, size: int, where: str
) -> np.ndarray | None:
    """SPIN's 24 of HumanData's 190, with 0 or 1 as confidence where the file has none."""
    if key not in content:
        return None
    mask = (
        numbers(content.get(f'{key}_mask', np.ones(JOINTS)), (JOINTS,), f'{where} {key}_mask') > 0
    )
    given = np.asarray(content[key], np.float64)
    held = int(mask.sum())
    if given.ndim != 3 or given.shape[0] != number or given.shape[1] not in (JOINTS, held):
        raise ValueError(
            f'{where} {key} must be ({number}, {JOINTS} or the {held} of its mask, {size}), it is '
            f'{given.shape}'
        )
    if not np.isfinite(given).all():
        raise ValueError(f'{where} {key} has values that are not finite')
    every = np.zeros((number, JOINTS, size))
    columns = np.flatnonzero(mask) if given.shape[1] == held else np.arange(JOINTS)
    every[:, columns, : given.shape[2]] = given
    if given.shape[2] < size:
        every[..., -1] = 1
    every[:, ~mask] = 0
    every[..., -1] = np.clip(every[..., -1], 0, 1)
    names = joint_names(SET)
    found = np.zeros((number, len(names), size))
    for place, name in enumerate(names):
        for column in PLACES[name]:
            missing = found[:, place, -1] == 0
            found[missing, place] = every[missing, column]
    found[found[..., -1] == 0] = 0
    return found


def _smpl(
    given: Any, number: int, where: str
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    if not given:
        return None, None, None
    try:
        pose = np.concatenate(
            [
                numbers(given['global_orient'], (number, 1, 3), f'{where} smpl.global_orient'),
                numbers(given['body_pose'], (number, 23, 3), f'{where} smpl.body_pose'),
            ],
            axis=1,
        )
        shape = numbers(given['betas'], (number, -1), f'{where} smpl.betas')[:, :10]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{where} smpl must hold global_orient, body_pose and betas: {error}'
        ) from error
    translation = given.get('transl')
    return pose, shape, None if translation is None else np.asarray(translation)


def _genders(content: dict[str, Any], number: int) -> list[str]:
    meta = content.get('meta')
    given = meta.get('gender') if isinstance(meta, dict) else None
    if given is None or len(given) != number:
        return ['neutral'] * number
    return [parse_gender(value) for value in given]


def _read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What is read of the archive, pickles through a list of what they may name; and all keys."""
    content = {}
    what = f'source={str(path)!r} cannot be read as HumanData'
    with reading(what), zipfile.ZipFile(path) as archive:
        keys = [name.removesuffix('.npy') for name in archive.namelist()]
        for key, name in zip(keys, archive.namelist(), strict=True):
            if key in (*PLAIN, *POINTS):
                with archive.open(name) as member:
                    content[key] = _read_member(member)
    return content, keys


def _read_member(member: Any) -> Any:
    version = npy.read_magic(member)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f'an array is of version {version}')
    shape, fortran, kind = readers[version](member)
    if kind.hasobject:
        value = restricted_pickle(NUMPY).load(member)
        return value.item() if isinstance(value, np.ndarray) and not value.shape else value
    count = int(np.prod(shape, dtype=np.int64))
    array = np.frombuffer(member.read(count * kind.itemsize), kind, count)
    return array.reshape(shape, order='F' if fortran else 'C')
