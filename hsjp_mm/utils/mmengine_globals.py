"""What MMEngine's checkpoints hold beside tensors, and how torch is told of it.

All is imported inside the functions: this module is called as soon as torch has been imported, and
would not yet be complete if that import were its own.
"""

import pickle
from typing import Any


def _history_buffer_method(owner: Any, name: str) -> Any:
    """What ``builtins.getattr`` means in a checkpoint: one of HistoryBuffer's four statistics."""
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError(f'GLOBAL builtins.getattr called with {owner!r}, {name!r}')
    return getattr(owner, name)


def _empty_bytes() -> bytes:
    """What ``builtins.bytes`` means in a checkpoint: the content of an empty array."""
    return b''


def mmengine_globals() -> dict[str, Any]:
    """What MMEngine's checkpoints name beside tensors, by name.

    Their message hub holds ``HistoryBuffer`` objects with numpy arrays and bound-by-name
    statistics functions.
    """
    import numpy as np
    from mmengine.logging import HistoryBuffer

    codes = '?efd' + np.typecodes['AllInteger']
    classes = [HistoryBuffer, np.ndarray, np.dtype, *(type(np.dtype(code)) for code in codes)]
    found: dict[str, Any] = {f'{c.__module__}.{c.__qualname__}': c for c in classes}
    # The two functions that rebuild arrays and numbers, under their names in numpy 1 and 2.
    for core in ('core', '_core'):
        found[f'numpy.{core}.multiarray._reconstruct'] = np.empty(0).__reduce__()[0]
        found[f'numpy.{core}.multiarray.scalar'] = np.float64(0).__reduce__()[0]
    return {
        **found,
        'builtins.getattr': _history_buffer_method,
        'builtins.bytes': _empty_bytes,
    }


def torch_can_be_told() -> bool:
    """Whether torch (2.6 and newer) has an allow-list that a program can add to."""
    import torch

    names = ('add_safe_globals', 'get_unsafe_globals_in_checkpoint')
    return all(hasattr(torch.serialization, name) for name in names)


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read what MMEngine 0.10 saves, and nothing more.

    With torch >= 2.6 stock MMEngine cannot load its own checkpoints otherwise. With older versions
    it can, for it unpickles anything there; that is left as it is.
    """
    import torch

    if torch_can_be_told():
        allowed: list[Any] = [(value, name) for name, value in mmengine_globals().items()]
        torch.serialization.add_safe_globals(allowed)
