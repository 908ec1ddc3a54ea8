"""What the processes of a training send each other, for `hsjp-mm benchmark communication`."""

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from unittest.mock import patch

import torch
import torch.distributed
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from hsjp_mm.benchmarks.measuring import TOOL, run_process

SENT = {'all_reduce': 0, 'broadcast': 0, 'all_gather': 1, 'all_to_all_single': 1}
"""The collectives that :mod:`hsjp_mm.ops.distributed` uses, and which argument is sent."""


@dataclass
class Traffic:
    """What one process gave to collectives.

    Attributes:
        sent: bytes of the tensors, each once, to however many processes they go.
        seconds: until the collectives were done, the waiting for slower processes included.
    """

    sent: int = 0
    seconds: float = 0.0

    def add(self, tensor: Tensor, started: float) -> None:
        """Add a collective that is done."""
        self.sent += tensor.nbytes
        self.seconds += time.perf_counter() - started


@contextlib.contextmanager
def counted(traffic: Traffic) -> Iterator[None]:
    """Count the collectives that are called inside; those of DistributedDataParallel are not."""

    def counting(name: str, place: int) -> Callable:
        collective = getattr(torch.distributed, name)

        @wraps(collective)
        def call(*args, **kwargs):
            started = time.perf_counter()
            result = collective(*args, **kwargs)
            traffic.add(args[place], started)
            return result

        return call

    with contextlib.ExitStack() as stack:
        for name, place in SENT.items():
            stack.enter_context(patch.object(torch.distributed, name, counting(name, place)))
        yield


def count_gradients(model: DistributedDataParallel, traffic: Traffic) -> None:
    """Count the gradients that a model's processes average."""

    all_reduce = torch.distributed.all_reduce  # which :func:`counted` does not replace here

    def hook(state: None, bucket: torch.distributed.GradBucket) -> torch.futures.Future[Tensor]:
        started = time.perf_counter()
        average = bucket.buffer().div_(torch.distributed.get_world_size())
        all_reduce(average)  # and wait, which leaves no overlap with the backward pass
        traffic.add(average, started)
        done: torch.futures.Future[Tensor] = torch.futures.Future()
        done.set_result(average)
        return done

    model.register_comm_hook(None, hook)


def measure_traffic(
    model: torch.nn.Module, make_step: Callable[[torch.nn.Module], Callable], rounds: int
) -> str:
    """Run training steps in all processes, and say what one of them sends.

    Args:
        model: of this process, the same in all of them.
        make_step: makes a training step of a model of several processes.
        rounds: measured steps, after one that is not.
    """
    parallel = DistributedDataParallel(model, broadcast_buffers=False)
    gradients, others = Traffic(), Traffic()
    count_gradients(parallel, gradients)
    step = make_step(parallel)
    with counted(others):
        step()
        for traffic in (gradients, others):
            traffic.sent, traffic.seconds = 0, 0.0
        seconds = []
        for _ in range(rounds):
            started = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - started)
    share = (gradients.seconds + others.seconds) / sum(seconds)
    return (
        f'{statistics.median(seconds):.3f} s; gradients {gradients.sent // rounds:,} bytes, '
        f'other things {others.sent // rounds:,} bytes; {share:.0%} of the time in communication '
        f'({gradients.seconds / sum(seconds):.0%} for gradients)'
    )


def is_one_of_several() -> bool:
    """Whether this process was started by torchrun, which sets the variable."""
    return 'RANK' in os.environ


def start_processes(number: int) -> None:
    """Run the benchmark again in several processes of one group, and wait for them.

    Raises:
        ChildProcessError: one of them failed.
    """
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    # not sys.argv[0], which is no file where hsjp-mm runs the tool
    arguments = '--nproc_per_node', str(number), str(TOOL), *sys.argv[1:]
    run_process([*command, *arguments], keep=False)


@contextlib.contextmanager
def process_group(device: str) -> Iterator[int]:
    """Be one of several processes inside, on a GPU of its own if not on the CPU; gives the rank."""
    if device != 'cpu':
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
    torch.distributed.init_process_group('gloo' if device == 'cpu' else 'nccl')
    try:
        yield torch.distributed.get_rank()
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
