import copyreg
import io
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from hsjp_mm.checkpoint.unpickling import restricted_pickle


class Point:
    def __init__(self, x=0):
        self.x = x


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


POINT = f'{Point.__module__}.Point'


def load(content: bytes, allowed=None, **settings):
    allowed = {POINT: Point} if allowed is None else allowed
    return restricted_pickle(allowed).load(io.BytesIO(content), **settings)


def named(name: str, protocol: int) -> bytes:
    """The instructions that put what is called ``module.name`` on the stack."""
    module, _, name = name.rpartition('.')
    if protocol < 4:
        return f'c{module}\n{name}\n'.encode()
    return (
        b''.join(pickle.SHORT_BINUNICODE + bytes([len(n)]) + n.encode() for n in (module, name))
        + pickle.STACK_GLOBAL
    )


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_allowed_classes_come_through(protocol):
    value = {
        'numbers': [1, -(2**70), 0.5, True, None], 'text': 'é', 'tuple': (1, (), (1, 2, 3, 4)),
        'point': [Point(3)] * 2, 'nested': {1: {2: [3]}},
    }  # fmt: skip
    allowed = {
        POINT: Point,
        'copyreg._reconstructor': copyreg._reconstructor,
        'builtins.object': object,
    }
    read = load(pickle.dumps(value, protocol), allowed)
    assert [point.x for point in read['point']] == [3, 3]
    assert read['point'][0] is read['point'][1]
    del read['point'], value['point']
    assert read == value


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_is_not_allowed_is_named_and_not_run(protocol, tmp_path):
    with pytest.raises(pickle.UnpicklingError, match=r'GLOBAL posix\.mkdir is not allowed'):
        load(pickle.dumps(Bomb(tmp_path / 'boom'), protocol))
    assert not (tmp_path / 'boom').exists()
    for name in ('builtins.eval', '__builtin__.eval', 'os.path.os.system', f'{POINT}.__init__'):
        with pytest.raises(pickle.UnpicklingError, match=r'GLOBAL \S+ is not allowed'):
            load(named(name, protocol) + b'.')


def test_names_of_python_2_are_translated():
    class OldStyle:
        pass

    # as Python 2 writes an instance of a class that derives from object
    content = (
        b'ccopy_reg\n_reconstructor\n(cold.module\nOldStyle\nc__builtin__\nobject\nNtR'
        b"(dS'faces'\n(lp1\nI3\nasb."
    )
    allowed = {
        'copyreg._reconstructor': copyreg._reconstructor,
        'old.module.OldStyle': OldStyle,
        'builtins.object': object,
    }
    read = load(content, allowed, encoding='latin1')
    assert type(read) is OldStyle
    assert read.faces == [3]
    with pytest.raises(pickle.UnpicklingError, match=r'GLOBAL builtins\.object is not allowed'):
        load(content, {k: v for k, v in allowed.items() if k != 'builtins.object'})


@pytest.mark.parametrize('protocol', [0, 2, 4])
def test_arrays(protocol):
    array = np.arange(6.0).reshape(2, 3)
    allowed = {
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
        'dtype': type(array.dtype),
        'builtins.bytes': bytes,
        '_codecs.encode': lambda text, encoding: text.encode(encoding),
    }
    for core in ('core', '_core'):
        allowed[f'numpy.{core}.multiarray._reconstruct'] = array.__reduce__()[0]
    np.testing.assert_array_equal(load(pickle.dumps(array, protocol), allowed), array)
    with pytest.raises(pickle.UnpicklingError, match='not allowed to be called or changed'):
        load(pickle.dumps(array, protocol), {k: v for k, v in allowed.items() if k != 'dtype'})


@pytest.mark.parametrize(
    'instructions, message',
    [
        # the class itself would get the attribute x for all the program
        (f'c{POINT.replace(".Point", chr(10) + "Point")}\n(N}}S"x"\nI9\nstb.', "<class 'type'>"),
        ('\x82\x01.', 'extension registry'),
        ('\x83\x01\x00.', 'extension registry'),
        ('\x84\x01\x00\x00\x00.', 'extension registry'),
        ('Pname\n.', 'persistent'),
        ('I3\n)R.', '3 is not allowed to be called'),
        ('(dI1\nb.', "<class 'dict'> is not allowed to be called or changed"),
    ],
)  # fmt: skip
def test_ways_around_the_list_are_closed(instructions, message):
    before = dict(vars(Point))
    with pytest.raises(pickle.UnpicklingError, match=message):
        load(instructions.encode('latin1'))
    assert dict(vars(Point)) == before


def test_c_unpickler_with_the_same_list_would_change_a_class():
    """Proves that the first case above can fail."""

    class Victim:
        pass

    class Plain(pickle.Unpickler):
        def find_class(self, module, name):
            return Victim

    Plain(io.BytesIO(b'ca\nb\n(N}S"x"\nI9\nstb.')).load()
    assert Victim.x == 9


def test_an_object_registered_by_number_is_not_reached():
    copyreg.add_extension('posix', 'mkdir', 77)
    copyreg._extension_cache[77] = os.mkdir
    try:
        with pytest.raises(pickle.UnpicklingError, match='extension registry'):
            load(b'\x82M.')
    finally:
        copyreg.remove_extension('posix', 'mkdir', 77)
        copyreg._extension_cache.pop(77, None)


@pytest.mark.parametrize('protocol', [2, 4])
def test_subclasses_and_keyword_arguments(protocol):
    value = OrderedDict(a=1)
    assert load(pickle.dumps(value, protocol), {'collections.OrderedDict': OrderedDict}) == value
    with pytest.raises(pickle.UnpicklingError, match=r'collections\.OrderedDict is not allowed'):
        load(pickle.dumps(value, protocol), {})


@pytest.mark.parametrize('length', range(0, 60, 7))
def test_truncated_content_is_an_error(length):
    content = pickle.dumps({'point': Point(3), 'text': 'x' * 40}, 2)
    message = r'cannot be unpickled|truncated|is not allowed'  # the last one, of half a name
    with pytest.raises(pickle.UnpicklingError, match=message):
        load(content[:length])


NUMPY = {
    'numpy.ndarray': np.ndarray,
    'numpy.dtype': np.dtype,
    'numpy.core.multiarray._reconstruct': np.zeros(0).__reduce__()[0],
    'numpy.core.multiarray.scalar': np.float64(0).__reduce__()[0],
    'numpy.core.numeric._frombuffer': np.zeros(0).__reduce_ex__(5)[0],
    'builtins.bytes': bytes,
    '_codecs.encode': lambda text, encoding: text.encode(encoding),
    **{f'dtype {code}': type(np.dtype(code)) for code in '?bBhHiIlLqQefdFDSUOV'},
}


class Calls:
    """Pickled as the call of a function, and a state for what it returns."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    'array',
    [
        np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(3, dtype='>f4'), np.array([True]), np.array(['ab', 'c']), np.array([b'x']),
        np.array([None, 'text', 1], dtype=object), np.float32(1.5), np.zeros((0, 3), np.uint32),
    ],
    ids=lambda array: str(array.dtype),
)  # fmt: skip
def test_arrays_as_numpy_writes_them_come_through(array, protocol):
    read = load(pickle.dumps(array, protocol), NUMPY)
    native = array.dtype.newbyteorder('=')  # numpy turns the others into it
    assert (read.dtype.newbyteorder('='), read.shape) == (native, array.shape)
    assert read.tolist() == array.tolist()


OBJECTS = (np.dtype, ('O', False, True))
ADDRESS = b'A' * 8


@pytest.mark.parametrize(
    'made',
    [
        Calls(*OBJECTS, (3, '|', None, None, None, -1, -1, 0)),  # objects that pass for numbers
        Calls(np.dtype, ('V8',), (3, '|', None, ('a',), {'a': (np.dtype('O'), 0)}, 8, 1, 0)),
        Calls(np.dtype, ('f8', False, True), (3, '<', (np.dtype('O'), (1,)), None, None, 8, 8, 0)),
        Calls(np.dtype, ('f8', False, True), (3, '<', None, None, None, 8, 8, 63)),
        Calls(np.ndarray, ((1,), np.dtype('O'), ADDRESS)),
    ],
    ids=['flags', 'fields', 'subarray', 'more flags', 'buffer'],
)
@pytest.mark.parametrize('protocol', [0, 2, 4])
def test_numbers_are_not_taken_for_addresses_of_objects(made, protocol):
    with pytest.raises(pickle.UnpicklingError, match=r'has a state of another type|to be called$'):
        load(pickle.dumps(made, protocol), NUMPY)
