"""Read bodies in SMPL's layout: the free one of the package, and SMPL's files of the user.

The official files are pickles of Python 2, with arrays of the package chumpy, which no longer
imports, and of scipy. They are read without either, and without running what a file holds: what
it names beyond plain arrays is refused.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from copyreg import _reconstructor  # type: ignore[attr-defined]
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from hsjp_mm.checkpoint.unpickling import NUMPY, restricted_pickle
from hsjp_mm.models.body_models.arrays import REGRESSOR, BodyArrays, body_arrays
from hsjp_mm.ops.keypoint_orders import JOINT_SETS, joint_names
from hsjp_mm.utils.files import write_arrays

FREE_BODY = Path(__file__).with_name('free_body.npz')
GENDERS = {'neutral': 'neutral', 'male': 'm', 'female': 'f'}
"""How the official file names spell them."""
KEYS = (
    'v_template', 'shapedirs', 'posedirs', 'weights', 'kintree_table', 'f', 'J_regressor',
    'J_template', 'J_shapedirs', 'vertex_mirror',
)  # fmt: skip
NESTING = 20  # chumpy's arrays stand in one another, in the official files two deep


class _Chumpy:
    """Stands for an array of chumpy or a sparse one of scipy: what was saved of it, inert."""

    state: Mapping[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f'an array has the state {type(state).__name__}')
        self.state = state


class _Select(_Chumpy):
    pass


class _Columns(_Chumpy):
    pass


ALLOWED: dict[str, Any] = {
    'chumpy.ch.Ch': _Chumpy,
    'chumpy.reordering.Select': _Select,
    **NUMPY,
    **{f'scipy.sparse{part}.csc_matrix': _Columns for part in ('', '.csc', '._csc')},
    'builtins.object': object,
    'builtins.set': set,
    'collections.OrderedDict': OrderedDict,
    'copyreg._reconstructor': _reconstructor,
}
"""What a body's pickle may name."""


def read_body(file: str | Path, gender: str = 'neutral') -> BodyArrays:
    """Read a body.

    Args:
        file: ``'free'``, the body that comes with the package; a ``.npz`` or ``.pkl``; or a folder
            of SMPL's files by the names of their download or those that other code gives them.
        gender: Which file of a folder: ``'neutral'``, ``'male'`` or ``'female'``; a file that is
            named itself is taken as it is.

    Returns:
        Its arrays.

    Raises:
        FileNotFoundError: There is none; the message says from where, and both names.
        ValueError: The file is no body, or holds more than plain arrays.
    """
    if gender not in GENDERS:
        raise ValueError(f'gender={gender!r} must be one of {", ".join(GENDERS)}')
    if str(file) == 'free':
        if gender != 'neutral':
            raise ValueError(f"gender={gender!r}: the body file='free' is one for all genders")
        return body_arrays(read_arrays(FREE_BODY), 'the free body')
    path = find_body(file, gender)
    return body_arrays(read_arrays(path), path.stem)


def find_body(file: str | Path, gender: str = 'neutral') -> Path:
    """The file itself, or that of a gender in a folder.

    Raises:
        FileNotFoundError: There is none.
    """
    path = Path(file).expanduser()
    if path.is_file():
        return path
    renamed, official = f'SMPL_{gender.upper()}', f'basicmodel_{GENDERS[gender]}_lbs_10_207_0_v1'
    stems = [renamed, f'{official}.1.0', f'{official}.0.0']
    if path.is_dir():
        # the site of SMPLify writes basicModel
        there = {other.name.lower(): other for other in sorted(path.iterdir())}
        for name in (f'{stem}{suffix}' for stem in stems for suffix in ('.npz', '.pkl')):
            if name.lower() in there:
                return there[name.lower()]
        problem = f'the folder file={str(file)!r} holds no SMPL body of gender={gender!r}'
    else:
        problem = f'file={str(file)!r} does not exist'
    raise FileNotFoundError(
        f'{problem}. SMPL may not be passed on: register at https://smpl.is.tue.mpg.de, download '
        f'version 1.1.0 for Python, and put {official}.1.0.pkl (other code calls it {renamed}.pkl) '
        "into a folder. The body file='free' needs no download"
    )


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read the plain arrays of a body file, none of them sparse.

    Args:
        path: A ``.npz`` or ``.pkl``. Keys that no body here needs are left out.

    Raises:
        ValueError: Another suffix, a damaged file, or one that holds more than plain arrays.
    """
    path = Path(path)
    try:
        if path.suffix == '.npz':
            with np.load(path, allow_pickle=False) as file:
                return {key: file[key] for key in file.files if _is_known(key)}
        if path.suffix == '.pkl':
            with open(path, 'rb') as file:
                content = restricted_pickle(ALLOWED).load(file, encoding='latin1')
            return _plain_arrays(content)
    except OSError:
        raise
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise ValueError(f'{path} cannot be read as a body: {error}') from error
    raise ValueError(f'{path} must be a .npz or .pkl in the layout of SMPL')


def convert_body(file: str | Path, gender: str = 'neutral', out: str | Path | None = None) -> Path:
    """Write a body as a plain ``.npz``, which numpy reads without any other package.

    Args:
        file, gender: As of :func:`read_body`.
        out: The file to write; by default beside the other, with the suffix ``.npz``.

    Returns:
        Its path.

    Raises:
        FileNotFoundError: See :func:`find_body`.
        ValueError: See :func:`read_body`; or out is the file itself, or no ``.npz``.
    """
    source = find_body(file, gender)
    path = Path(out).expanduser() if out else source.with_suffix('.npz')
    if path.suffix != '.npz' or path.resolve() == source.resolve():
        raise ValueError(f'out={str(path)!r} must be another file than {source} and end in .npz')
    arrays = read_arrays(source)
    body_arrays(arrays, source.stem)
    write_arrays(path, arrays)
    return path


def with_regressors(body: BodyArrays, files: Mapping[str, str | Path]) -> BodyArrays:
    """Add the regressors of files, which take points from the vertices of posed bodies.

    Args:
        body: Whose vertices they are of.
        files: By joint sets, the name being the order of the rows: ``h36m_17_left_first`` of
            SPIN's ``J_regressor_h36m.npy``, ``h36m_17`` of ``J_regressor_h36m_correct.npy``,
            ``extra_9`` of ``J_regressor_extra.npy``, ``mupots_17`` of ``J_regressor_mi_smpl.npy``.
            ``.npy`` of (K or more, V); the set's rows are the first. Or ``.npy`` of K whole
            numbers, the vertices that are the points: ``face_5``, of which SMPL has no regressor.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It fits the body or the set not; on the T-pose, joints of the left are not on
            the left, as in a file of the other order of Human3.6M.
    """
    regressors = dict(body.regressors)
    for joint_set, file in files.items():
        regressors[joint_set] = _read_regressor(body, joint_set, Path(file).expanduser())
    return replace(body, regressors=regressors)


def _read_regressor(body: BodyArrays, joint_set: str, path: Path) -> np.ndarray:
    names = joint_names(joint_set)
    try:
        matrix = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f'{path} must be a .npy of plain numbers: {error}') from error
    vertices = len(body.template)
    if matrix.shape == (len(names),) and matrix.dtype.kind in 'iu':
        if not ((matrix >= 0) & (matrix < vertices)).all():
            raise ValueError(f'{path} must hold numbers of vertices, from 0 to {vertices - 1}')
        matrix = np.eye(vertices)[matrix]
    if matrix.ndim != 2 or len(matrix) < len(names) or matrix.shape[1] != vertices:
        raise ValueError(
            f'{path} must be ({len(names)}, {vertices}) for {joint_set} of {body.name}, it is '
            f'{matrix.shape}'
        )
    if not np.isfinite(matrix).all():
        raise ValueError(f'{path} has values that are not finite')
    if len(matrix) > len(names):
        print_log(
            f'{path} has {len(matrix)} rows; the first {len(names)} are taken as {joint_set}',
            'current',
        )
    matrix = matrix[: len(names)].astype(np.float64)
    _require_sides(matrix @ body.template, joint_set, path)
    return np.concatenate([np.zeros((len(names), len(body.parents))), matrix], axis=1)


def _require_sides(points: np.ndarray, joint_set: str, path: Path) -> None:
    """The T-pose guard: what is called left has to be on the left."""
    if not (wrong := _on_wrong_side(points, joint_names(joint_set))):
        return
    orders = [f'{joint_set} ({", ".join(joint_names(joint_set))})']
    fitting = [
        f'{other} ({", ".join(names)})'
        for other, names in JOINT_SETS.items()
        if len(names) == len(points) and not _on_wrong_side(points, names)
    ]
    raise ValueError(
        f'{path} has its rows in another order than {orders[0]}: on the T-pose '
        f'{", ".join(wrong)} would be on the wrong side. The sides fit '
        f'{" and ".join(fitting) or "no known order"}'
    )


def _on_wrong_side(points: np.ndarray, names: tuple[str, ...]) -> list[str]:
    signs = {'left': 1, 'right': -1}
    return [
        name
        for name, x in zip(names, points[:, 0], strict=True)
        if x * signs.get(name.partition('_')[0], 0) < 0
    ]


def _is_known(key: str) -> bool:
    return key in KEYS or key.startswith(REGRESSOR)


def _plain_arrays(content: Any) -> dict[str, np.ndarray]:
    if not isinstance(content, dict):
        raise ValueError(f'it holds a {type(content).__name__}, not a dictionary of arrays')
    known = {key: value for key, value in content.items() if isinstance(key, str)}
    return {key: _plain(value) for key, value in known.items() if _is_known(key)}


def _plain(value: Any, nesting: int = 0) -> np.ndarray:
    """The numbers of an array of numpy, of scipy's sparse columns, or of chumpy."""
    if nesting > NESTING:
        raise ValueError(f'its arrays stand in one another more than {NESTING} deep')
    if isinstance(value, _Columns):
        return _dense(value.state)
    if isinstance(value, _Select):
        of = _plain(value.state['a'], nesting + 1).ravel()
        chosen = of[np.asarray(value.state['idxs'])]
        return chosen.reshape(value.state['preferred_shape'])
    if isinstance(value, _Chumpy):
        return _plain(value.state['x'], nesting + 1)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in 'fiu':
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f'it holds {kind} where an array of numbers should be')
    return value


def _dense(state: Mapping[str, Any]) -> np.ndarray:
    """Of the compressed columns of a sparse matrix; scipy itself trusts its indices."""
    rows, columns = (int(side) for side in state.get('_shape', state.get('shape', ())))
    data, indices, starts = (_plain(state[key]) for key in ('data', 'indices', 'indptr'))
    if rows * columns > 10**8 or min(rows, columns) < 0:
        raise ValueError(f'a sparse matrix of {rows} × {columns} is too large for a body')
    counts = np.diff(starts)
    if len(counts) != columns or (counts < 0).any() or starts[0] or starts[-1] != len(data):
        raise ValueError('the columns of a sparse matrix do not fit its shape')
    dense = np.zeros((rows, columns))
    np.add.at(dense, (indices, np.repeat(np.arange(columns), counts)), data)
    return dense
