"""Cross-entropy over the cells of a heat map.

Letters: B batch, K maps of an image, h and w height and width of a map.
"""

import torch
from torch import Tensor, nn

from hsjp_mm.registry import MODELS


@MODELS.register_module()
class CellCrossEntropyLoss(nn.Module):
    """Have a map say in which of its cells the point lies, instead of how high each cell is.

    A map is taken for logits, whose softmax over all its cells is compared with the target divided
    by its own sum. Squared errors, as in the stock ``KeypointMSELoss``, are nearly as small for an
    empty map as for the right one, because nearly all of a target is 0; here an empty map is as bad
    as guessing. It is no part of the HSJP paper. The highest cell is found as ever, but heights are
    logits: they have no bound, and only differences within a map mean anything.

    Args:
        loss_weight: factor of the loss.

    Examples:
        >>> head = dict(
        ...     type='hsjp_mm.HSJPHead',
        ...     in_channels=2048,
        ...     loss=dict(type='hsjp_mm.CellCrossEntropyLoss'),
        ... )
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, output: Tensor, target: Tensor, target_weights: Tensor) -> Tensor:
        """Compute the mean over all maps, those of weight 0 included, as equation (2) does.

        Args:
            output: (B, K, h, w) logits.
            target: (B, K, h, w) of at least 0, at any scale.
            target_weights: (B, K).
        """
        target = target.flatten(2)
        # a point far outside has no cell at all, and should have weight 0
        target = target / target.sum(dim=2, keepdim=True).clamp(min=torch.finfo(target.dtype).tiny)
        surprise = -(target * output.flatten(2).log_softmax(dim=2)).sum(dim=2)
        return self.loss_weight * (surprise * target_weights).mean()
