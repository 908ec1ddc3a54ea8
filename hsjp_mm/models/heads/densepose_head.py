"""The head of DensePose: masks of parts, charts of the surface, and U and V in each of them.

Letters: B batch, H and W height and width of the input, h and w of the maps, P points of all
samples.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmpose.models.heads import HeatmapHead
from torch import Tensor, nn

from hsjp_mm.models.heads.part_segmentation_head import mean_over_all, segmentation_losses
from hsjp_mm.ops.coordinates import sample_points
from hsjp_mm.ops.part_labels import CHARTS, DENSEPOSE_PARTS, IGNORED, at_cells
from hsjp_mm.registry import MODELS

GROUPS = (len(DENSEPOSE_PARTS) + 1, CHARTS + 1, CHARTS, CHARTS)
"""Maps of masks, charts, U and V; the first two have one for the background."""


@dataclass
class DensePoints:
    """Annotated points of a batch.

    Attributes:
        places: (P, 2), (x, y) in pixels of the input.
        samples: (P,) the sample in the batch to which each belongs.
        charts: (P,), 1 to 24.
        uv: (P, 2).
    """

    places: Tensor
    samples: Tensor
    charts: Tensor
    uv: Tensor

    def inside(self, height: int, width: int) -> Tensor:
        """Which points lie in the input, (P,)."""
        x, y = self.places.unbind(dim=1)
        return (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)


@MODELS.register_module()
class DensePoseHead(HeatmapHead):
    """Predict the tasks of `DensePose <https://arxiv.org/abs/1802.00434>`_ from one set of maps.

    The layers are those of `Simple Baselines <https://arxiv.org/abs/1804.06208>`_, as in the stock
    head. Four groups of maps:

    - 15 of part masks: cross-entropy over all labelled cells, as in
      :class:`PartSegmentationHead`;
    - 25 of charts (``dp_I`` and the background): cross-entropy at the annotated points, and at the
      cells that the masks call background, the mean of each kind added, for there are a hundred
      points on thousands of such cells;
    - 24 of U and 24 of V: smooth L1 at the annotated points, in the maps of the annotated chart.

    Values at points are interpolated bilinearly. All means are over all processes. DensePose's own
    code has U and V of the background too, which nothing trains.

    Args:
        in_channels: as in the stock head.
        uv_weight: of the loss of U and V. Neither the paper nor the study that pretrains with
            DensePose gives one for such a head; with 10 it is of the other losses' size.
        layers: further arguments of the stock head, such as its deconvolutions.

    Raises:
        ValueError: ``uv_weight`` is negative.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.DensePose',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.DensePoseHead', in_channels=2048),
        ... )
    """

    def __init__(self, in_channels: int, uv_weight: float = 10.0, **layers):
        if not uv_weight >= 0:
            raise ValueError(f'uv_weight={uv_weight} must be at least 0')
        layers.setdefault('loss', dict(type='mmpose.KeypointMSELoss'))
        super().__init__(in_channels, sum(GROUPS), **layers)
        self.loss_module = nn.CrossEntropyLoss(ignore_index=IGNORED, reduction='none')
        self.uv_weight = uv_weight

    def loss(self, feats, labels: Tensor, points: DensePoints) -> dict[str, Tensor]:
        """Compute the losses, and four numbers that tell whether anything is learnt.

        Args:
            feats: feature maps of the backbone, as for the stock head.
            labels: (B, H, W), 0 to 14, and 255 where there is no label.
            points: those outside of the input do not count.

        Returns:
            ``loss_parts``, ``loss_charts``, ``loss_uv``; ``iou`` and ``accuracy`` as in
            PartSegmentationHead; ``index``, the share of points whose chart is right;
            ``uv_error``, the mean distance in U and V.
        """
        maps = self.forward(feats).float()
        masks, charts, _ = maps.split([GROUPS[0], GROUPS[1], 2 * CHARTS], dim=1)
        losses = segmentation_losses(masks, labels, self.loss_module)

        counted = points.inside(*labels.shape[-2:])
        scores, uv = self.at_points(maps, points, labels.shape[-1] // maps.shape[-1])
        index_loss = self.loss_module(scores, points.charts) * counted
        background = at_cells(labels, maps.shape[-2:]) == 0
        empty = self.loss_module(charts, torch.zeros_like(background, dtype=torch.long))
        uv_loss = F.smooth_l1_loss(uv, points.uv, reduction='none') * counted[:, None]
        number = counted.sum()
        with torch.no_grad():
            right = (scores.argmax(dim=1) == points.charts) & counted
            away = (uv - points.uv).norm(dim=1) * counted
        return {
            **losses,
            'loss_charts': mean_over_all(index_loss, number)
            + mean_over_all(empty * background, background.sum()),
            'loss_uv': self.uv_weight * mean_over_all(uv_loss, 2 * number),
            'index': right.sum() / number.clamp(min=1),
            'uv_error': away.sum() / number.clamp(min=1),
        }

    def at_points(self, maps: Tensor, points: DensePoints, stride: int) -> tuple[Tensor, Tensor]:
        """Read the maps at points.

        Args:
            maps: (B, 88, h, w).
            points: P of them.
            stride: input pixels to a cell.

        Returns:
            (P, 25) scores of the charts; (P, 2) U and V in the annotated chart.
        """
        values = sample_points(maps[:, GROUPS[0] :], points.places / stride, points.samples)
        scores, u, v = values.split(GROUPS[1:], dim=1)
        own = points.charts[:, None] - 1
        return scores, torch.cat([u.gather(1, own), v.gather(1, own)], dim=1)

    @torch.no_grad()
    def predict(self, feats, points: DensePoints, width: int) -> tuple[Tensor, ...]:
        """Find the labels of the cells, and what the points are.

        Args:
            feats: as in ``loss``.
            points: P of them.
            width: W.

        Returns:
            (B, h, w) part labels; (B, h, w) charts, 0 where the mask is background; (P,) charts and
            (P, 2) U and V of the points.
        """
        maps = self.forward(feats).float()
        parts = maps[:, : GROUPS[0]].argmax(dim=1)
        charts = maps[:, GROUPS[0] + 1 : GROUPS[0] + GROUPS[1]].argmax(dim=1) + 1
        scores, uv = self.at_points(maps, points, width // maps.shape[-1])
        return parts, charts * (parts > 0), scores.argmax(dim=1), uv
