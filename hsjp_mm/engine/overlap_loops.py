"""Loops of validation and test in which the network sees a batch while the last one is decoded."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.runner import TestLoop, ValLoop
from mmengine.runner.amp import autocast

from hsjp_mm.registry import LOOPS

AT_A_TIME = 2
"""Batches in work: one in the network, and one in the decoder."""


@LOOPS.register_module()
class OverlapValLoop(ValLoop):
    """MMEngine's ValLoop, whose network goes on with a batch while the one before is decoded.

    Of a bottom-up model the network may run on a GPU and the grouping of persons on a CPU, so that
    each waits for the other. Here two batches are in work, each in a thread of its own; outputs,
    their order and the calls of hooks are those of the stock loop, but that ``before_val_iter`` of
    a batch comes when its step has begun. Memory is that of two batches. It is for pose estimators:
    pretexts exchange embeddings between processes, and two threads would do so in any order.

    Args:
        runner, dataloader, evaluator, fp16: as in MMEngine's ValLoop.

    Examples:
        >>> val_cfg = dict(type='hsjp_mm.OverlapValLoop')
    """

    def run(self) -> dict:
        """Validate, and return the metrics."""
        with _overlap(self, 'val_step'):
            return super().run()


@LOOPS.register_module()
class OverlapTestLoop(TestLoop):
    """MMEngine's TestLoop, changed as :class:`OverlapValLoop` is.

    Args:
        runner, dataloader, evaluator, fp16: as in MMEngine's TestLoop.

    Examples:
        >>> test_cfg = dict(type='hsjp_mm.OverlapTestLoop')
    """

    def run(self) -> dict:
        """Test, and return the metrics."""
        with _overlap(self, 'test_step'):
            return super().run()


@contextmanager
def _overlap(loop: ValLoop | TestLoop, name: str) -> Iterator[None]:
    """Let the loop take the outputs of the model's method of that name from steps begun before."""
    loader, model = loop.dataloader, loop.runner.model
    step = getattr(model, name)
    device = torch.cuda.current_device() if torch.cuda.is_available() else None

    def begin(batch: Any) -> Any:
        # no thread has these from the one that starts it
        if device is not None:
            torch.cuda.set_device(device)
        with torch.no_grad(), autocast(enabled=loop.fp16):
            return step(batch)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        loop.dataloader = ahead = _Ahead(loader, begin, pool)
        setattr(model, name, ahead.result)  # in front of the method of the class
        try:
            yield
        finally:
            delattr(model, name)
            loop.dataloader = loader


class _Ahead:
    """A data loader that begins the step of each batch before it hands out the one before."""

    def __init__(self, loader: Any, begin: Any, pool: ThreadPoolExecutor):
        self.loader = loader
        self.begin = begin
        self.pool = pool
        self.steps: deque[Future] = deque()

    def __iter__(self) -> Iterator:
        batches: deque = deque()
        for batch in self.loader:
            self.steps.append(self.pool.submit(self.begin, batch))
            batches.append(batch)
            if len(batches) == AT_A_TIME:
                yield batches.popleft()
        yield from batches

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def result(self, batch: Any) -> Any:
        """Wait for the outputs of the batch that was handed out last."""
        return self.steps.popleft().result()
