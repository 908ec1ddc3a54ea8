"""Training with bfloat16 autocast, on CPUs too."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import autocast
from torch import nn

from hsjp_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Run the forward pass of each training step under bfloat16 autocast.

    MMEngine's ``AmpOptimWrapper`` refuses CPUs, and its scaler of the loss has no use here:
    bfloat16 has the range of single precision. Weights and optimizer stay in single precision, and
    so does validation. It pays on processors with instructions for bfloat16, which are GPUs and
    CPUs with AVX512-BF16 or AMX; others are slower with it.

    Heads of stock MMPose compute an accuracy in training for which they make NumPy arrays of their
    maps, and NumPy has no bfloat16: set ``model.train_cfg.compute_acc=False`` for them.

    Args:
        **kwargs: of MMEngine's ``OptimWrapper``.

    Examples:
        >>> optim_wrapper = dict(type='hsjp_mm.BFloat16OptimWrapper')
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, and what MMEngine does for the accumulation of gradients."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
