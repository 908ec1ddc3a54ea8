"""One batch over all processes: rows exchanged, gathered and summed, the last two with gradients.

Words: the *rows* of all processes stand behind each other in the order of the ranks; ``sizes`` are
their numbers by rank. Without a process group there is one process, and nothing is sent.

Gradients: the backward pass of :func:`gather` and :func:`total` sums over the processes. If each
process computes the same loss from them, the average that DistributedDataParallel takes of the
processes' gradients is the gradient of one process with the whole batch.
"""

import torch
import torch.distributed
import torch.nn.functional as F
from mmengine.dist import (
    all_gather,
    all_reduce,
    broadcast,
    get_backend,
    get_rank,
    get_world_size,
)  # fmt: skip
from torch import Tensor

ALL_TO_ALL = ('nccl', 'gloo', 'mpi', 'ucc', 'xccl', 'hccl')
"""Backends of torch that send each process its own part; with others everything is gathered."""


def sizes_of(number: int, device: torch.device | str = 'cpu') -> list[int]:
    """Tell all processes how many rows each has."""
    if get_world_size() == 1:
        return [number]
    return [int(n) for n in all_gather(torch.tensor(number, device=device))]


def shared(value: Tensor) -> Tensor:
    """Give all processes the first one's value."""
    broadcast(value, src=0)
    return value


@torch.compiler.disable
def shared_order(number: int) -> Tensor:
    """Draw a random order of some rows, the same on all processes.

    It is left out of compilation, for torch 2.11 cannot compile a permutation that is used whole.
    """
    return shared(torch.randperm(number))


def exchange(rows: Tensor, order: Tensor, sizes: list[int]) -> Tensor:
    """Permute the rows of all processes; each process keeps as many as it had.

    Args:
        rows: (sizes[rank], …) of this process, no gradient is kept.
        order: (sum of sizes,) long, on the CPU, the same on all processes: the new row i of all
            is the old row order[i].
        sizes: rows by rank.

    Returns:
        (sizes[rank], …), this process's part of the new rows.
    """
    if len(sizes) == 1:
        return rows[order.to(rows.device)]
    # the processes must agree how the rows lie in memory
    rows = rows.detach().contiguous()
    rank = get_rank()
    first = sum(sizes[:rank])
    wanted = order[first : first + sizes[rank]]
    if get_backend() not in ALL_TO_ALL:
        return gather(rows, sizes)[wanted.to(rows.device)]
    # old and new rows have the same owners, for each process keeps as many as it had
    owners = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    from_here = owners[order] == rank
    sent = rows[(order[from_here] - first).to(rows.device)]
    givers = owners[wanted]
    received = torch.empty_like(rows)
    torch.distributed.all_to_all_single(
        received,
        sent,
        output_split_sizes=givers.bincount(minlength=len(sizes)).tolist(),
        input_split_sizes=owners[from_here].bincount(minlength=len(sizes)).tolist(),
    )
    arrived = givers.argsort(stable=True)
    return received[arrived.argsort().to(rows.device)]


def gather(rows: Tensor, sizes: list[int]) -> Tensor:
    """Collect the rows (sizes[rank], C) of all processes, (sum of sizes, C), with gradient."""
    return rows if len(sizes) == 1 else _Gather.apply(rows, sizes)


def total(value: Tensor) -> Tensor:
    """Sum a value over the processes, with gradient."""
    return value if get_world_size() == 1 else _Total.apply(value)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows: Tensor, sizes: list[int]) -> Tensor:
        ctx.first = sum(sizes[: get_rank()])
        ctx.number = len(rows)
        padding = [0, 0] * (rows.ndim - 1) + [0, max(sizes) - len(rows)]
        parts = all_gather(F.pad(rows, padding))
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        gradient = gradient.clone()
        all_reduce(gradient)
        return gradient[ctx.first : ctx.first + ctx.number], None


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        value = value.clone()
        all_reduce(value)
        return value

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        gradient = gradient.clone()
        all_reduce(gradient)
        return gradient
