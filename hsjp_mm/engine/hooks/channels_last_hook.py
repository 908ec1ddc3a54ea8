"""A model whose convolutions keep the channels of a pixel together in memory."""

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from hsjp_mm.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the weights of convolutions in torch's memory format ``channels_last``.

    Images follow, for a convolution with such weights gives such maps. Only the order in memory
    changes, and with it the order of sums: losses differ in their last digits, initial weights and
    checkpoints are the same as ever. Convolutional networks train faster so, on CPUs and on GPUs
    with half precision; transformers do not.

    Examples:
        >>> default_hooks = dict(channels_last=dict(type='hsjp_mm.ChannelsLastHook'))
    """

    priority = 'VERY_HIGH'  # before hooks that look at the weights

    def before_train(self, runner) -> None:
        """Convert the model in place, when its weights have been drawn or loaded.

        Not earlier, for torch would draw other weights in this format by the same seed.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.to(memory_format=torch.channels_last)

    before_val = before_test = before_train
