"""What the tensors of a checkpoint hold, and the error of a checkpoint that cannot be used."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# A count of batches that batch norm with a fixed momentum never reads; old files lack it.
COUNTER = 'num_batches_tracked'

REAL = {f'torch.{name}' for name in ('float16', 'bfloat16', 'float32', 'float64')}
WHOLE = {f'torch.{name}' for name in ('bool', 'uint8', 'int8', 'int16', 'int32', 'int64')}

State = Mapping[str, Any]
Tensors = Mapping[str, Tensor]


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message says which and why."""


def shorten(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - most
    return ', '.join(names[:most]) + (f' … and {rest} more' if rest > 0 else '')


def kind(tensor: Tensor) -> str:
    """What the values of a tensor are, e.g. ``'torch.float32'`` or ``'torch.sparse_coo'``."""
    if type(tensor) not in (Tensor, nn.Parameter):
        return type(tensor).__name__
    if tensor.is_nested or tensor.is_meta:
        return 'nested' if tensor.is_nested else 'meta'
    return str(tensor.dtype if tensor.layout == torch.strided else tensor.layout)


def shape_of(tensor: Tensor) -> tuple:
    """Its sizes; of a nested tensor the word."""
    return ('nested',) if kind(tensor) == 'nested' else tuple(tensor.shape)
