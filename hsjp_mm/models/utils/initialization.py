"""What the ``init_cfg`` of a module says."""

from mmengine.model import BaseModule


def loads_checkpoint(module: BaseModule) -> bool:
    """Whether a module is initialised from a checkpoint, alone or after other initialisers."""
    init_cfg = module.init_cfg or []
    cfgs = init_cfg if isinstance(init_cfg, list) else [init_cfg]
    return any('checkpoint' in cfg for cfg in cfgs)
