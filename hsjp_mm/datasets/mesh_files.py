"""The one format of labels of bodies in 3D: plain arrays in a ``.npz``, one file a split.

Converters write it from the official files, ``hsjp_mm.MeshDataset`` reads it. Letters: N samples (a
sample is a person in an image), K points of a set in the image, L joints of a set in space, S shape
components.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.utils.files import existing_file, reading, write_arrays

FORMAT = 'hsjp_mm.mesh.1'
BODIES = ('free', 'smpl', 'none')
GENDERS = ('neutral', 'male', 'female')
HEIGHTS = (0.2, 3.0)
"""Meters that the joints of the median sample may be apart at most; millimeters are beyond."""
ARRAYS: dict[str, tuple[Any, tuple[int | str, ...]]] = {
    'image_path': (np.str_, ()),
    'image_size': (np.int64, (2,)),
    'box': (np.float32, (4,)),
    'id': (np.int64, ()),
    'keypoints': (np.float32, ('K', 3)),
    'joints': (np.float32, ('L', 4)),
    'pose': (np.float32, (24, 3)),
    'shape': (np.float32, ('S',)),
    'translation': (np.float32, (3,)),
    'has_pose': (np.bool_, ()),
    'has_shape': (np.bool_, ()),
    'has_translation': (np.bool_, ()),
    'gender': (np.str_, ()),
    'camera': (np.float32, (4,)),
    'sequence': (np.str_, ()),
    'frame': (np.int64, ()),
    'part_map_path': (np.str_, ()),
}
"""Type and shape of each array, after the first axis, which is N."""
NEEDED = ('image_path', 'image_size', 'box', 'id')
WORDS = ('format', 'body', 'keypoint_set', 'joint_set')
KINDS: dict[Any, str] = {np.float32: 'fiu', np.int64: 'iu', np.bool_: 'b', np.str_: 'U'}
"""What kinds of numpy's types are taken for each."""


@dataclass(frozen=True)
class MeshLabels:
    """The content of a file, checked.

    Attributes:
        name: Of the file, for messages.
        arrays: By their names in the file; those that were not given and have a value for
            "unknown" are filled with it, ``keypoints``, ``joints``, ``pose``, ``shape`` and
            ``translation`` are there only where the file has them.
        body: Whose pose and shape these are: ``'free'``, ``'smpl'`` or ``'none'``.
        keypoint_set, joint_set: The sets of ``keypoints`` and of ``joints``, '' without them.
    """

    name: str
    arrays: Mapping[str, np.ndarray]
    body: str = 'none'
    keypoint_set: str = ''
    joint_set: str = ''

    def __len__(self) -> int:
        return len(self.arrays['id'])

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def __contains__(self, key: str) -> bool:
        return key in self.arrays


def write_mesh_file(path: str | Path, content: Mapping[str, Any]) -> None:
    """Check labels and write them, whole or not at all.

    Args:
        path: A ``.npz``.
        content: The arrays, N of each, and the words that say what they are:

            - ``image_path`` (N,) relative to the folder of images, with forward slashes;
              ``image_size`` (N, 2), width and height, (0, 0) where unknown
            - ``box`` (N, 4), left, top, right and bottom in pixels of the image
            - ``id`` (N,), whole numbers, each once
            - ``keypoints`` (N, K, 3), x and y in pixels of the image and a confidence from 0 to 1,
              0 for what is not labelled; with ``keypoint_set``, the name of their set
            - ``joints`` (N, L, 4), meters in camera axes (x right, y down, z forward), absolute or
              about any root, and a confidence; with ``joint_set``
            - ``pose`` (N, 24, 3), axis-angle, the first one the body's in camera axes;
              ``has_pose`` (N,); with ``body``, whose it is, 'free' or 'smpl'
            - ``shape`` (N, S) and ``has_shape`` (N,)
            - ``translation`` (N, 3), that of :class:`~hsjp_mm.models.BodyModel` with which the body
              stands before the camera, and ``has_translation`` (N,)
            - ``gender`` (N,), 'neutral', 'male' or 'female'
            - ``camera`` (N, 4), focal lengths and principal point in pixels, NaN where unknown
            - ``sequence`` (N,) and ``frame`` (N,), '' and −1 for none
            - ``part_map_path`` (N,), '' for none: an 8-bit PNG of the image's size, 0 where this
              person is not seen and 1 + joint where that part of it is. A file for each person.

            All but the first four may be left out.

    Raises:
        ValueError: The path is no ``.npz``; an array is not as above.
    """
    path = Path(path)
    if path.suffix != '.npz':
        raise ValueError(f'path={str(path)!r} must end in .npz')
    checked = mesh_labels({'format': FORMAT, **content}, path.name)
    words = {key: np.array(getattr(checked, key)) for key in WORDS if key != 'format'}
    given = {key: checked[key] for key in ARRAYS if key in content}
    write_arrays(path, {**words, **given, 'format': np.array(FORMAT)})


def read_mesh_file(path: str | Path, argument: str = 'ann_file') -> MeshLabels:
    """Read and check a file.

    Args:
        path: Of it.
        argument: What names it in messages.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, of another format, or holds what it may not.
    """
    path = existing_file(path, argument)
    what = (
        f'{argument}={str(path)!r} cannot be read as labels of meshes, a .npz of plain arrays as '
        '`hsjp-mm convert mesh` writes'
    )
    with reading(what), np.load(path, allow_pickle=False) as file:
        content = {key: file[key] for key in file.files if key in ARRAYS or key in WORDS}
    return mesh_labels(content, str(path))


def mesh_labels(content: Mapping[str, Any], name: str) -> MeshLabels:
    """Check labels; arguments and errors as in :func:`write_mesh_file`, name is for messages."""
    words = {key: str(content.get(key, '')) for key in WORDS}
    words['body'] = words['body'] or 'none'
    if words['format'] != FORMAT:
        raise ValueError(
            f'{name}: format={words["format"]!r} must be {FORMAT!r}; `hsjp-mm convert mesh` writes '
            'it from the official files'
        )
    if words['body'] not in BODIES:
        raise ValueError(f'{name}: body={words["body"]!r} must be one of {", ".join(BODIES)}')
    if missing := [key for key in NEEDED if key not in content]:
        raise ValueError(f'{name} lacks {", ".join(missing)}')
    if unknown := sorted(content.keys() - ARRAYS.keys() - set(WORDS)):
        raise ValueError(f'{name}: {", ".join(unknown)} is not of {", ".join((*ARRAYS, *WORDS))}')
    number = len(np.atleast_1d(content['id']))
    if not number:
        raise ValueError(f'{name} holds no sample')
    sizes = {'K': _set_size(words, 'keypoint_set', name), 'L': _set_size(words, 'joint_set', name)}
    arrays = {
        key: _array(key, content[key], number, sizes, name) for key in ARRAYS if key in content
    }
    for key in ('pose', 'shape', 'translation'):
        _require_pair(key, arrays, words['body'], name)
    _require_images(arrays, name)
    _require_values(arrays, name)
    if 'joints' in arrays:
        _require_meters(arrays['joints'], name)
    del words['format']
    return MeshLabels(name, {**_unknown(number), **arrays}, **words)


def _unknown(number: int) -> dict[str, np.ndarray]:
    """What stands for arrays that are not there."""
    return {
        **{key: np.zeros(number, bool) for key in ('has_pose', 'has_shape', 'has_translation')},
        'gender': np.full(number, 'neutral'),
        'camera': np.full((number, 4), np.nan, np.float32),
        'sequence': np.full(number, ''),
        'frame': np.full(number, -1),
        'part_map_path': np.full(number, ''),
    }


def _set_size(words: Mapping[str, str], key: str, name: str) -> int:
    if not words[key]:
        return 0
    try:
        return len(joint_names(words[key]))
    except ValueError as error:
        raise ValueError(f'{name}: {key}: {error}') from error


def _array(key: str, value: Any, number: int, sizes: Mapping[str, int], name: str) -> np.ndarray:
    array = np.asarray(value)
    kind, rest = ARRAYS[key]
    if array.dtype.kind not in KINDS[kind]:
        raise ValueError(
            f'{name}: {key} must be of type {np.dtype(kind).name}, it is {array.dtype}'
        )
    components = array.shape[1] if array.ndim == 2 else 0
    known: dict[Any, int] = {**sizes, 'S': components}
    wanted = (number, *(known.get(size, size) for size in rest))
    if array.shape != wanted or ('S' in rest and not components):
        letters = f'(N={number}{"".join(f", {size}" for size in rest)})'
        of = f', {key[:-1]}_set has {known[rest[0]]}' if rest and rest[0] in sizes else ''
        raise ValueError(f'{name}: {key} must be {letters}{of}; it is {array.shape}')
    if kind is np.float32:
        array = array.astype(np.float32)
        if key != 'camera':
            _require(np.isfinite(array), key, array, 'finite, zeros where there is no label', name)
    return array if kind is np.str_ else array.astype(kind)


def _require(fits: np.ndarray, key: str, array: np.ndarray, allowed: str, name: str) -> None:
    """Raise which value is not allowed, the first one.

    Args:
        fits: Of the leading axes of the array.
    """
    if not fits.all():
        index = tuple(int(i) for i in np.argwhere(~fits)[0])
        place = ', '.join(map(str, index))
        wrong = int((~fits).sum())
        raise ValueError(
            f'{name}: {key}[{place}] is {array[index].tolist()}, and must be {allowed}'
            + (f' ({wrong} are not)' if wrong > 1 else '')
        )


def _require_pair(key: str, arrays: Mapping[str, np.ndarray], body: str, name: str) -> None:
    """A pose needs the word which samples have one, and of which body it is."""
    if (key in arrays) != (f'has_{key}' in arrays):
        raise ValueError(f'{name}: {key} and has_{key} need one another')
    if key in arrays and arrays[f'has_{key}'].any() and body == 'none':
        raise ValueError(f"{name}: {key} needs body, one of 'free' and 'smpl', whose it is")


def _require_images(arrays: Mapping[str, np.ndarray], name: str) -> None:
    for key in ('image_path', 'part_map_path'):
        if key in arrays:
            paths = arrays[key]
            inside = ~(
                np.char.startswith(paths, '/')
                | np.char.startswith(paths, '../')
                | (np.char.find(paths, '/../') >= 0)
                | (np.char.find(paths, '\\') >= 0)
                | (np.char.find(paths, ':') == 1)
            )
            _require(inside, key, paths, 'a path below the folder, with forward slashes', name)
    _require(arrays['image_path'] != '', 'image_path', arrays['image_path'], 'a path', name)
    if 'part_map_path' in arrays:
        maps = arrays['part_map_path']
        _require(_first_ones(maps) | (maps == ''), 'part_map_path', maps, 'of one person', name)
    size = arrays['image_size']
    positive = (size > 0).all(axis=1) | (size == 0).all(axis=1)
    _require(positive, 'image_size', size, 'width and height above 0, or (0, 0) if unknown', name)


def _require_values(arrays: Mapping[str, np.ndarray], name: str) -> None:
    box = arrays['box']
    _require(
        (box[:, 2:] > box[:, :2]).all(axis=1), 'box', box,
        'left, top, right and bottom, right above left and bottom above top', name,
    )  # fmt: skip
    _require(_first_ones(arrays['id']), 'id', arrays['id'], 'there once', name)
    for key in ('keypoints', 'joints'):
        if key in arrays:
            confidence = arrays[key][..., -1]
            fits = (confidence >= 0) & (confidence <= 1)
            _require(fits, key, arrays[key], 'with a confidence from 0 to 1 as the last', name)
    if 'gender' in arrays:
        fits = np.isin(arrays['gender'], GENDERS)
        _require(fits, 'gender', arrays['gender'], f'one of {", ".join(GENDERS)}', name)
    if 'camera' in arrays:
        camera = arrays['camera']
        known = np.isfinite(camera).all(axis=1) & (camera[:, :2] > 0).all(axis=1)
        fits = known | np.isnan(camera).all(axis=1)
        _require(fits, 'camera', camera, 'fx, fy above 0, cx, cy, or NaN all of them', name)
    if 'translation' in arrays:
        translation = arrays['translation']
        fits = (translation[:, 2] > 0) | ~arrays['has_translation']
        _require(fits, 'translation', translation, 'before the camera, z above 0', name)


def _first_ones(values: np.ndarray) -> np.ndarray:
    """(N,), whether a value has not been there before."""
    first = np.zeros(len(values), bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first


def _require_meters(joints: np.ndarray, name: str) -> None:
    labelled = joints[..., 3] > 0
    whole = labelled.sum(axis=1) >= max(2, joints.shape[1] // 2)
    if not whole.any():
        return
    joints, labelled = joints[whole], labelled[whole, :, None]
    lowest = np.where(labelled, joints[..., :3], np.inf).min(axis=1)
    highest = np.where(labelled, joints[..., :3], -np.inf).max(axis=1)
    median = float(np.median((highest - lowest).max(axis=1)))
    if not HEIGHTS[0] <= median <= HEIGHTS[1]:
        raise ValueError(
            f'{name}: the joints of the median sample are {median:.4g} apart, which no body is in '
            f'meters ({HEIGHTS[0]} to {HEIGHTS[1]})'
        )
