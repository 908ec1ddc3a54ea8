import io
import os
import pickle
import struct
import sys
import types

import numpy as np
import pytest
import scipy.sparse
import torch

from hsjp_mm.models import BodyModel
from hsjp_mm.models.body_models.arrays import body_arrays
from hsjp_mm.models.body_models.smpl_files import (
    FREE_BODY,
    convert_body,
    find_body,
    read_arrays,
    read_body,
    with_regressors,
)
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.utils.files import write_arrays
from tests.models.body_models.bodies import made_up_body


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes both as Python 2 writes its strings."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, value):
        data = value.encode('latin1') if isinstance(value, str) else value
        if self.proto == 0:
            self.write(b'S' + repr(data)[1:].encode('ascii') + b'\n')
        else:
            self.write(b'T' + struct.pack('<i', len(data)) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def pickled(value, protocol: int) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol).dump(value)
    return file.getvalue()


@pytest.fixture
def old(monkeypatch) -> types.SimpleNamespace:
    """Classes by the names that the packages of the official files' time had them under."""
    found = {}
    monkeypatch.setitem(sys.modules, 'chumpy', types.ModuleType('chumpy'))
    for module, name in (
        ('chumpy.ch', 'Ch'),
        ('chumpy.reordering', 'Select'),
        ('scipy.sparse.csc', 'csc_matrix'),
    ):
        cls = type(name, (), {'__module__': module})
        made = types.ModuleType(module)
        setattr(made, name, cls)
        monkeypatch.setitem(sys.modules, module, made)
        found[name] = cls
    return types.SimpleNamespace(**found)


def instance(cls, **state):
    value = cls()
    value.__dict__.update(state)
    return value


def ch(old, x):
    """What chumpy saves of an array."""
    return instance(
        old.Ch, x=x, _dirty_vars=set(), _itr=None, _make_dense=False, _make_sparse=False,
        _depends_on_deps={}, _status='new',
    )  # fmt: skip


def csc(old, dense: np.ndarray):
    matrix = scipy.sparse.csc_matrix(dense)
    return instance(
        old.csc_matrix, data=matrix.data, indices=matrix.indices, indptr=matrix.indptr,
        _shape=matrix.shape, format='csc', maxprint=50,
    )  # fmt: skip


def official(old, version: str) -> dict:
    """The keys and kinds of SMPL's files, of made-up numbers."""
    body = made_up_body(shapes=10 if version == '1.0.0' else 300)
    body = {k: v.astype(float) if v.dtype.kind == 'f' else v for k, v in body.items()}
    shape: object = ch(old, body['shapedirs'])
    if version == 'cut':  # of 300 components the first 10, chosen before it was saved
        whole = body['shapedirs']
        numbers = np.arange(whole.size).reshape(whole.shape)[..., :10]
        shape = instance(
            old.Select, a=ch(old, whole), idxs=numbers.ravel(), preferred_shape=numbers.shape,
            _dirty_vars=set(), _itr=None, _status='new',
        )  # fmt: skip
    return {
        **body,
        'shapedirs': shape,
        'J_regressor': csc(old, body['J_regressor']),
        'J_regressor_prior': csc(old, body['J_regressor']),
        'weights_prior': ch(old, body['weights']),
        'J': ch(old, body['J_regressor'] @ body['v_template']),
        'vert_sym_idxs': np.arange(30),
        'bs_style': 'lbs',
        'bs_type': 'lrotmin',
        'pose_training_info': {'gender': 'f', 'subjects': ['a', 'b']},
    }


def require_equal(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize('protocol', [0, 2])
@pytest.mark.parametrize('version', ['1.0.0', '1.1.0', 'cut'])
def test_official_pickles_are_read_without_chumpy(tmp_path, old, version, protocol, monkeypatch):
    path = tmp_path / 'basicModel_neutral_lbs_10_207_0_v1.0.0.pkl'
    path.write_bytes(pickled(official(old, version), protocol))
    assert b'chumpy.ch' in path.read_bytes()
    for module in ('chumpy.ch', 'chumpy.reordering', 'scipy.sparse.csc'):
        monkeypatch.delitem(sys.modules, module)
    expected = made_up_body(shapes=10 if version == '1.0.0' else 300)
    if version == 'cut':
        expected['shapedirs'] = expected['shapedirs'][..., :10]
    require_equal(read_arrays(path), expected)
    model = BodyModel(str(path))
    assert (model.name, model.num_shape) == (path.stem, 10)
    np.testing.assert_array_equal(model.faces, expected['f'])


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_todays_packages_are_read(tmp_path, protocol):
    expected = made_up_body(correctives=False)  # an empty array
    content = {**expected, 'J_regressor': scipy.sparse.csc_matrix(expected['J_regressor'])}
    (tmp_path / 'body.pkl').write_bytes(pickle.dumps(content, protocol))
    require_equal(read_arrays(tmp_path / 'body.pkl'), expected)


def test_npz_of_smplx_kind_is_read_by_its_known_keys(tmp_path):
    """SMPL-X's own files also hold objects, which are pickles and are left alone."""
    path = tmp_path / 'SMPLX_NEUTRAL.npz'
    names = np.array({'pelvis': 0}, dtype=object)
    np.savez(path, **made_up_body(), joint2num=names, hands_meanl=np.zeros(45))
    require_equal(read_arrays(path), made_up_body())
    np.savez(path, **{**made_up_body(), 'weights': names})
    with pytest.raises(ValueError, match=r'SMPLX_NEUTRAL.npz cannot be read as a body'):
        read_arrays(path)


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize('key', ['v_template', 'vert_sym_idxs'])
def test_a_file_that_calls_functions_is_refused_and_calls_none(tmp_path, key):
    path = tmp_path / 'SMPL_MALE.pkl'
    path.write_bytes(pickle.dumps({**made_up_body(), key: Bomb(tmp_path / 'boom')}))
    with pytest.raises(ValueError, match=r'SMPL_MALE.pkl cannot be read .*posix.mkdir is not all'):
        convert_body(path)
    assert [other.name for other in tmp_path.iterdir()] == ['SMPL_MALE.pkl']


def hostile(old) -> dict[str, object]:
    inside = ch(old, None)
    inside.__dict__['x'] = inside
    body = made_up_body()
    sparse = csc(old, body['J_regressor'])
    return {
        'more than 20 deep': {**body, 'shapedirs': inside},
        'out of bounds': {**body, 'J_regressor': changed(sparse, indices=sparse.indices + 10**6)},
        'do not fit its shape': {**body, 'J_regressor': changed(sparse, indptr=sparse.indptr[:-3])},
        'too large': {**body, 'J_regressor': changed(sparse, _shape=(10**6, 10**6))},
        'holds object': {**body, 'weights': np.array([[None]])},
        'holds str': {**body, 'weights': 'many'},
        'not a dictionary': [body],
    }


def changed(value, **state):
    return instance(type(value), **{**value.__dict__, **state})


@pytest.mark.parametrize('number', range(7))
def test_arrays_that_are_none_are_refused(tmp_path, old, number):
    message, content = list(hostile(old).items())[number]
    (tmp_path / 'body.pkl').write_bytes(pickle.dumps(content, 2))
    with pytest.raises(ValueError, match=f'body.pkl cannot be read as a body: .*{message}'):
        read_arrays(tmp_path / 'body.pkl')


@pytest.mark.parametrize('name', ['body.pkl', 'body.npz'])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b'PK\3\4 not a body')
    with pytest.raises(ValueError, match=f'{name} cannot be read as a body'):
        read_arrays(tmp_path / name)
    with pytest.raises(ValueError, match=r'body.txt must be a .npz or .pkl'):
        read_arrays(tmp_path / 'body.txt')


def test_files_are_found_by_both_names(tmp_path):
    def find(gender: str) -> str:
        return find_body(tmp_path, gender).name

    names = [
        'basicModel_neutral_lbs_10_207_0_v1.0.0.pkl', 'basicmodel_m_lbs_10_207_0_v1.0.0.pkl',
        'basicmodel_m_lbs_10_207_0_v1.1.0.pkl', 'SMPL_FEMALE.pkl',
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    assert find('neutral') == 'basicModel_neutral_lbs_10_207_0_v1.0.0.pkl'
    assert find('male') == 'basicmodel_m_lbs_10_207_0_v1.1.0.pkl'
    assert find('female') == 'SMPL_FEMALE.pkl'
    (tmp_path / 'SMPL_FEMALE.npz').touch()  # what `convert body` wrote beside it
    assert find('female') == 'SMPL_FEMALE.npz'
    assert find_body(tmp_path / names[0], 'male').name == names[0]


def test_a_missing_file_is_told_with_its_names_and_where_it_is_from(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        BodyModel(str(tmp_path), gender='female')
    for part in (
        "gender='female'", 'SMPL_FEMALE.pkl', 'basicmodel_f_lbs_10_207_0_v1.1.0.pkl',
        'https://smpl.is.tue.mpg.de', "file='free'", str(tmp_path),
    ):  # fmt: skip
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r'nowhere.pkl.* does not exist'):
        read_body(tmp_path / 'nowhere.pkl')
    with pytest.raises(ValueError, match="gender='f' must be one of neutral, male, female"):
        read_body('free', 'f')
    with pytest.raises(ValueError, match="gender='male': the body file='free' is one for all"):
        BodyModel(gender='male')


def test_converted_bodies_are_the_same_bodies(tmp_path, old):
    path = tmp_path / 'SMPL_NEUTRAL.pkl'
    path.write_bytes(pickled(official(old, '1.1.0'), 2))
    written = convert_body(tmp_path)
    assert written == tmp_path / 'SMPL_NEUTRAL.npz'
    require_equal(read_arrays(written), read_arrays(path))
    with pytest.raises(ValueError, match='must be another file than'):
        convert_body(written)
    with pytest.raises(ValueError, match=r'must .* end in .npz'):
        convert_body(path, out=tmp_path / 'body.pth')
    again = convert_body(path, out=tmp_path / 'new' / 'body.npz')
    assert again.read_bytes() == written.read_bytes()
    (tmp_path / 'half.pkl').write_bytes(pickle.dumps({'v_template': np.zeros((3, 3))}))
    with pytest.raises(ValueError, match='half is no body in the layout of SMPL: it lacks'):
        convert_body(tmp_path / 'half.pkl')
    assert not (tmp_path / 'half.npz').exists()


def test_the_free_body_is_small_and_written_as_it_is_read(tmp_path):
    assert FREE_BODY.stat().st_size < 300_000
    write_arrays(tmp_path / 'body.npz', read_arrays(FREE_BODY))
    require_equal(read_arrays(tmp_path / 'body.npz'), read_arrays(FREE_BODY))
    assert set(read_body('free').regressors) == {'coco_17', 'h36m_17'}


def test_points_may_be_vertices(tmp_path):
    """With those of the face and Human3.6M's regressor SMPL has all that trains."""
    parents = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
    content = made_up_body(60, parents, correctives=False)
    np.savez(tmp_path / 'SMPL_NEUTRAL.npz', **content)
    sides = content['v_template'][:, 0]
    left, right = (np.argsort(sides)[place] for place in (slice(-2, None), slice(2)))
    face = np.array([30, right[0], left[0], right[1], left[1]])
    np.save(tmp_path / 'face.npy', face)
    model = BodyModel(str(tmp_path), num_shape=0, regressors=dict(face_5=tmp_path / 'face.npy'))
    body = model(torch.eye(3).repeat(1, 24, 1, 1))
    torch.testing.assert_close(model.keypoints(body, 'face_5')[0], body.vertices[0, face])
    with pytest.raises(ValueError, match="joint_set='mesh_22' has head_top, spine, jaw"):
        model.require_set('mesh_22')
    matrix = np.zeros((17, 60))
    for row, name in zip(matrix, joint_names('h36m_17_left_first'), strict=True):
        row[(sides * {'left': 1, 'right': -1}.get(name.partition('_')[0], 0)).argmax()] = 1
    np.save(tmp_path / 'h36m.npy', matrix)
    both = dict(h36m_17_left_first=tmp_path / 'h36m.npy', face_5=tmp_path / 'face.npy')
    model = BodyModel(str(tmp_path), num_shape=0, regressors=both)
    assert model.sources('mesh_22') == ('h36m_17_left_first', 'face_5')
    np.save(tmp_path / 'face.npy', face[[0, 2, 1, 4, 3]])
    with pytest.raises(ValueError, match='would be on the wrong side'):
        BodyModel(str(tmp_path), num_shape=0, regressors=both)
    np.save(tmp_path / 'face.npy', face + 40)
    with pytest.raises(ValueError, match='numbers of vertices, from 0 to 59'):
        BodyModel(str(tmp_path), num_shape=0, regressors=both)


def vertices_nearest(joint_set: str, joints: str = 'h36m_17') -> np.ndarray:
    """A regressor file of the free body: of each joint the nearest vertex on its own side."""
    body = read_body('free')
    points = body.regressors[joints] @ np.concatenate([body.joint_template, body.template])
    named = dict(zip(joint_names(joints), points, strict=True))
    matrix = np.zeros((len(joint_names(joint_set)), len(body.template)))
    for row, name in zip(matrix, joint_names(joint_set), strict=True):
        row[np.linalg.norm(body.template - named[name], axis=1).argmin()] = 1
    return matrix


@pytest.mark.parametrize('joint_set', ['h36m_17', 'h36m_17_left_first'])
def test_regressor_files_are_registered_by_name(tmp_path, joint_set):
    matrix = vertices_nearest(joint_set)
    np.save(tmp_path / 'J_regressor_h36m.npy', matrix)
    body = read_body('free')
    found = with_regressors(body, {joint_set: tmp_path / 'J_regressor_h36m.npy'})
    assert (found.regressors[joint_set][:, :24] == 0).all()
    np.testing.assert_array_equal(found.regressors[joint_set][:, 24:], matrix)
    model = BodyModel(regressors={joint_set: str(tmp_path / 'J_regressor_h36m.npy')})
    assert set(model.joint_sets) == {'coco_17', 'h36m_17', joint_set}


@pytest.mark.parametrize('right', ['h36m_17', 'h36m_17_left_first'])
def test_a_file_whose_left_is_right_is_refused_with_both_orders(tmp_path, right):
    wrong = next(name for name in ('h36m_17', 'h36m_17_left_first') if name != right)
    np.save(tmp_path / 'h36m.npy', vertices_nearest(right))
    with pytest.raises(ValueError) as caught:
        with_regressors(read_body('free'), {wrong: tmp_path / 'h36m.npy'})
    message = str(caught.value)
    side = joint_names(wrong)[1]  # of the hip that comes first
    assert f'another order than {wrong} (pelvis, {side}, ' in message
    assert 'would be on the wrong side' in message and f'{side}, ' in message
    assert f'The sides fit {right} (pelvis, {joint_names(right)[1]}, ' in message


def test_regressor_files_that_do_not_fit_are_refused(tmp_path):
    body, path = read_body('free'), tmp_path / 'regressor.npy'
    for matrix, message in (
        (np.zeros((17, 6890)), r'must be \(17, 1229\) for h36m_17 of the free body, it is \(17, 6'),
        (np.zeros((16, 1229)), r'must be \(17, 1229\)'),
        (np.full((17, 1229), np.nan), 'not finite'),
        (np.full((17, 1229), None), 'must be a .npy of plain numbers'),
        (-vertices_nearest('h36m_17'), 'no known order'),
    ):
        np.save(path, matrix, allow_pickle=True)
        with pytest.raises(ValueError, match=message):
            with_regressors(body, {'h36m_17': path})
    with pytest.raises(FileNotFoundError, match='nowhere'):
        with_regressors(body, {'h36m_17': tmp_path / 'nowhere.npy'})
    with pytest.raises(ValueError, match="joint_set='h36m' must be one of"):
        with_regressors(body, {'h36m': path})


def test_of_more_rows_the_first_are_taken(tmp_path):
    matrix = np.concatenate([vertices_nearest('h36m_17'), np.ones((11, 1229))])
    np.save(tmp_path / 'more.npy', matrix)
    found = with_regressors(read_body('free'), {'h36m_17': tmp_path / 'more.npy'})
    np.testing.assert_array_equal(found.regressors['h36m_17'][:, 24:], matrix[:17])


def test_300_components_are_had_by_asking(tmp_path, old):
    path = tmp_path / 'SMPL_MALE.pkl'
    path.write_bytes(pickled(official(old, '1.1.0'), 2))
    assert BodyModel(str(tmp_path), 'male', num_shape=300).num_shape == 300
    assert body_arrays(read_arrays(path), 'x').shape_directions.shape[2] == 300
