"""The head of part segmentation: which body part each cell of a map shows.

Letters: B batch, N parts, H and W height and width of the input, h and w of the map.
"""

import torch
from mmpose.models.heads import HeatmapHead
from torch import Tensor, nn

from hsjp_mm.ops.distributed import total
from hsjp_mm.ops.part_labels import IGNORED, at_cells, confusion, intersection_over_union
from hsjp_mm.registry import MODELS


def mean_over_all(values: Tensor, count: Tensor | int) -> Tensor:
    """Divide the sum of values by their number, both over all processes; 0 without any.

    The loss of two processes is then that of one with both batches, however the labels are spread.
    """
    number = total(torch.as_tensor(count, dtype=values.dtype, device=values.device))
    return total(values.sum()) / number.clamp(min=1)


@MODELS.register_module()
class PartSegmentationHead(HeatmapHead):
    """Predict for each cell the background or one of N body parts.

    The layers are those of `Simple Baselines <https://arxiv.org/abs/1804.06208>`_, as in the stock
    head, with N + 1 maps in place of heat maps; the loss is the cross-entropy, its mean over all
    labelled cells of all processes. Cell (i, j) has the label of the input pixel that it looks at,
    (4i, 4j) at a stride of 4; the stride follows from the sizes.

    Args:
        in_channels: as in the stock head.
        num_parts: N; given by :class:`~hsjp_mm.models.PartSegmentation`.
        layers: further arguments of the stock head, such as its deconvolutions.

    Raises:
        ValueError: in training, maps that do not divide the input.

    Examples:
        The number of parts is the model's:

        >>> model = dict(
        ...     type='hsjp_mm.PartSegmentation',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.PartSegmentationHead', in_channels=2048),
        ... )
    """

    def __init__(self, in_channels: int, num_parts: int, **layers):
        # with the scope, for MMDetection's configs do not find MMPose's names without
        layers.setdefault('loss', dict(type='mmpose.KeypointMSELoss'))
        super().__init__(in_channels, num_parts + 1, **layers)
        self.loss_module = nn.CrossEntropyLoss(ignore_index=IGNORED, reduction='none')

    def loss(self, feats, labels: Tensor) -> dict[str, Tensor]:
        """Compute the cross-entropy, and two numbers that tell whether anything is learnt.

        Args:
            feats: feature maps of the backbone, as for the stock head.
            labels: (B, H, W), 0 to N, and 255 where there is no label.

        Returns:
            ``loss_parts``; ``iou``, the mean intersection over union of the parts in this batch;
            ``accuracy``, the share of labelled cells that are right.
        """
        return segmentation_losses(self.forward(feats).float(), labels, self.loss_module)

    @torch.no_grad()
    def predict(self, feats) -> Tensor:
        """Find the most likely label of each cell, (B, h, w)."""
        return self.forward(feats).argmax(dim=1)


def segmentation_losses(
    logits: Tensor, labels: Tensor, cross_entropy: nn.CrossEntropyLoss
) -> dict[str, Tensor]:
    """Compute what :meth:`PartSegmentationHead.loss` returns.

    Args:
        logits: (B, N + 1, h, w).
        labels: (B, H, W).
        cross_entropy: without reduction.
    """
    truth = at_cells(labels, logits.shape[-2:]).long()
    counted = truth != IGNORED
    table = confusion(logits.detach().argmax(dim=1), truth, logits.shape[1])
    return {
        'loss_parts': mean_over_all(cross_entropy(logits, truth), counted.sum()),
        'iou': intersection_over_union(table)[1:].nanmean().nan_to_num().float(),
        'accuracy': table.diagonal().sum() / counted.sum().clamp(min=1),
    }
