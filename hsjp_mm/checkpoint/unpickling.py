"""Unpickle plain values and what an allow-list names, for files that need not be trusted.

Pickle is a language: a file can import any module and call any function. Since version 2.6 torch
can be told what to allow; this is for older versions, and for pickles that torch did not write.
"""

import _compat_pickle
import pickle
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

PythonUnpickler: Any = pickle._Unpickler


class RestrictedUnpickler(PythonUnpickler):
    """Python's unpickler, without imports: what is named or called must be on a list.

    It is the one written in Python, for the one in C lets a file set attributes of any class or
    function that it may name. Here only *instances* of listed classes are given a state.

    Of numpy's types and arrays, where they are on the list, only what numpy itself writes is made:
    it trusts what it is given, and would take a file's numbers for addresses of Python objects.

    Attributes:
        allowed: What the name ``module.name`` in a file stands for. Names of Python 2 are
            translated before they are looked up, as Python does it (``copy_reg`` is ``copyreg``,
            ``__builtin__`` is ``builtins``).
    """

    allowed: ClassVar[Mapping[str, Any]] = {}
    dispatch: ClassVar[dict[int, Any]] = dict(PythonUnpickler.dispatch)

    def load(self) -> Any:
        """Read what the file holds.

        Raises:
            UnpicklingError: It holds what is not allowed, or cannot be read.
        """
        try:
            return super().load()
        except pickle.UnpicklingError:
            raise
        except Exception as error:  # damaged instructions make it raise almost anything
            raise pickle.UnpicklingError(f'cannot be unpickled ({error!r:.200})') from error

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up.

        Raises:
            UnpicklingError: It is not on the list.
        """
        if self.proto < 3:
            module, name = _compat_pickle.NAME_MAPPING.get(
                (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
            )
        if f'{module}.{name}' not in self.allowed:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name} is not allowed')
        return self.allowed[f'{module}.{name}']

    def _require_allowed(self, value: Any) -> None:
        if not any(value is allowed for allowed in self.allowed.values()):
            raise pickle.UnpicklingError(f'{value!r:.80} is not allowed to be called or changed')

    def _require_callable(self, value: Any) -> None:
        self._require_allowed(value)
        if value is np.ndarray:  # numpy passes it to a function; its own arguments are addresses
            raise pickle.UnpicklingError('numpy.ndarray is not allowed to be called')

    def load_reduce(self) -> None:
        """Call a function."""
        self._require_callable(self.stack[-2])
        super().load_reduce()

    def load_newobj(self) -> None:
        """Make an instance of a class."""
        self._require_callable(self.stack[-2])
        super().load_newobj()

    def load_newobj_ex(self) -> None:
        """Make an instance of a class, with named arguments."""
        self._require_callable(self.stack[-3])
        super().load_newobj_ex()

    def load_build(self) -> None:
        """Give an instance its state."""
        value, state = self.stack[-2:]
        self._require_allowed(type(value))
        if isinstance(value, np.dtype) and not _is_own_state(value, state):
            raise pickle.UnpicklingError(f'numpy.dtype({value!s:.40}) has a state of another type')
        super().load_build()

    def load_unknown(self) -> None:
        """Refuse objects that go by numbers, which the program beside may have registered."""
        raise pickle.UnpicklingError('objects of the extension registry are not allowed')

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex
    dispatch[pickle.BUILD[0]] = load_build
    for _code in (pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_code[0]] = load_unknown


def _is_own_state(dtype: np.dtype, state: Any) -> bool:
    """Whether a state says no more than the byte order of a type that has no fields.

    It is (version, byte order, subarray, names, fields, size, alignment, flags). The flags say
    whether the type is one of objects; a type of objects without them reads addresses.
    """
    return (
        dtype.kind in 'biufcSUO'
        and isinstance(state, tuple)
        and len(state) == 8
        and state[2:5] == (None, None, None)
        and state[7] == dtype.flags
    )


def restricted_pickle(allowed: Mapping[str, Any]) -> Any:
    """Make a stand-in for the module ``pickle`` that reads what is allowed, and no more.

    Args:
        allowed: What the name ``module.name`` in a file stands for; classes, functions that are
            called, and the classes of all instances that get a state.

    Returns:
        An object with ``load`` and ``Unpickler``, as ``torch.load(pickle_module=...)`` takes it.

    Examples:
        >>> pickles = restricted_pickle({'collections.OrderedDict': OrderedDict})
        >>> with open('model.pkl', 'rb') as file:
        ...     content = pickles.load(file, encoding='latin1')
    """

    class Unpickler(RestrictedUnpickler):
        pass

    Unpickler.allowed = dict(allowed)

    def load(file: Any, **settings: Any) -> Any:
        return Unpickler(file, **settings).load()

    return SimpleNamespace(__name__='restricted_pickle', Unpickler=Unpickler, load=load)


def _encode(text: str, encoding: str) -> bytes:
    """What ``_codecs.encode`` means in a pickle: the bytes of an array."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'_codecs.encode called with {encoding!r}')
    return text.encode('latin1')


_OF_NUMPY = np.zeros(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
_BUFFER = np.zeros(0).__reduce_ex__(5)[0]
# Newer versions of numpy have a class for each type of numbers, of which files name none.
_DTYPES = {type(np.dtype(code)) for code in '?bBhHiIlLqQefdOSU'}
NUMPY: dict[str, Any] = {
    'numpy.ndarray': np.ndarray,
    'numpy.dtype': np.dtype,
    **{f'numpy.{core}.multiarray._reconstruct': _OF_NUMPY for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': _SCALAR for core in ('core', '_core')},
    **{f'numpy.{core}.numeric._frombuffer': _BUFFER for core in ('core', '_core')},
    **{f'{kind.__module__}.{kind.__name__}': kind for kind in _DTYPES},
    '_codecs.encode': _encode,
    'builtins.bytes': bytes,
}
"""What a pickle may name of numpy, for it to hold arrays and no more."""
