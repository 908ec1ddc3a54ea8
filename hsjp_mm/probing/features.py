"""The features of a backbone, whatever config and checkpoint it comes from.

Letters: B images of a batch, N images of a data set, C channels.
"""

import copy

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.utils.data import DataLoader

from hsjp_mm.checkpoint import load_backbone
from hsjp_mm.utils.progress import track


def build_backbone(config: Config, checkpoint: str | None) -> tuple[nn.Module, str]:
    """Build the backbone of a config and load it, or leave it random.

    Args:
        config: A config with ``model.backbone``, whose ``init_cfg`` is not used.
        checkpoint: As in :func:`hsjp_mm.checkpoint.load_backbone`; every tensor of the backbone
            must be in it, for all of them make the features. None for random weights, the floor.

    Returns:
        The backbone and the coverage line.
    """
    if 'backbone' not in config.get('model', {}):
        raise ValueError(f'config={config.filename!r} has no model.backbone')
    init_default_scope(config.get('default_scope', 'mmpose'))
    backbone_cfg = copy.deepcopy(config.model.backbone)
    backbone_cfg.pop('init_cfg', None)
    backbone = MODELS.build(backbone_cfg)
    if checkpoint is None:
        draw_weights(backbone)
        return backbone, 'backbone: random weights'
    return backbone, load_backbone(backbone, checkpoint).line()


def draw_weights(module: nn.Module) -> None:
    """Initialise a module without a report on each tensor."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # else three lines a tensor
    try:
        module.init_weights()  # type: ignore[operator]
    finally:
        logger.setLevel(level)


def last_map(backbone: nn.Module, images: Tensor) -> Tensor:
    """Compute the backbone's last map, that which heads read.

    The last of several maps is that of lowest resolution for ResNet stages and HRNet branches,
    and that of the last stack for Hourglass; an HRNet of pose configs has one, of highest
    resolution.

    Args:
        images: (B, 3, H, W), normalised.

    Returns:
        (B, C, h, w).

    Raises:
        ValueError: The last output is no map, or not finite.
    """
    outputs = backbone(images)
    last = outputs[-1] if isinstance(outputs, list | tuple) else outputs
    if not isinstance(last, Tensor) or last.ndim != 4:
        shape = tuple(last.shape) if isinstance(last, Tensor) else type(last).__name__
        raise ValueError(
            f'the last output of backbone {type(backbone).__name__} must be a map (B, C, H, W), '
            f'but is {shape}'
        )
    broken = int((~last.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise ValueError(
            f'backbone {type(backbone).__name__} gives NaN or infinity for {broken} of '
            f'{len(last)} images: its weights or, while fine-tuning, the learning rate'
        )
    return last


def pooled(backbone: nn.Module, images: Tensor) -> Tensor:
    """Average :func:`last_map` over all its cells, (B, C)."""
    return last_map(backbone, images).mean((2, 3))


@torch.no_grad()
def extract(backbone: nn.Module, images: DataLoader) -> tuple[Tensor, Tensor]:
    """Compute the features of a data set.

    Returns:
        Features (N, C) and classes (N,), on the CPU.
    """
    device = next(backbone.parameters()).device
    batches = [
        (pooled(backbone, inputs.to(device)).cpu(), targets)
        for inputs, targets in track(images, 'batches')
    ]
    features, targets = zip(*batches, strict=True)
    return torch.cat(features), torch.cat(targets)
