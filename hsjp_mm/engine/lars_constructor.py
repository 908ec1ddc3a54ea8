"""Which parameters LARS leaves alone."""

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from hsjp_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LARSConstructor(DefaultOptimWrapperConstructor):
    """Neither decay nor rescale norms and biases, as SimCLR, BYOL and SwAV train with LARS.

    They are the parameters of one dimension or none. The stock constructor can only name them, and
    what norms are called differs between backbones: HRNet's are ``transition1.0.1.weight``.

    Args:
        optim_wrapper_cfg: With an optimizer that reads ``lars_exclude`` of its groups, as that of
            mmpretrain does.
        paramwise_cfg: As in the stock constructor.

    Examples:
        >>> optim_wrapper = dict(
        ...     type='OptimWrapper',
        ...     constructor='hsjp_mm.LARSConstructor',
        ...     optimizer=dict(type='mmpretrain.LARS', lr=0.3, momentum=0.9),
        ... )
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        # anything but nothing, for which stock makes one group of all parameters
        super().__init__(optim_wrapper_cfg, paramwise_cfg or dict(bypass_duplicate=False))

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper of the optimizer."""
        wrapper = super().__call__(model)
        for group in wrapper.optimizer.param_groups:
            if all(parameter.ndim <= 1 for parameter in group['params']):
                group.update(weight_decay=0.0, lars_exclude=True)
        return wrapper
