"""DensePose as pretraining: the network that tells where on the body's surface a pixel lies."""

import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from hsjp_mm.datasets.part_masks import require_parts
from hsjp_mm.models.heads.densepose_head import DensePoints, DensePoseHead
from hsjp_mm.models.pretext.base import Measure, PretextModel, pretext_head
from hsjp_mm.models.pretext.part_segmentation import part_labels
from hsjp_mm.ops.part_labels import CHARTS, DENSEPOSE_PARTS
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class DensePose(PretextModel):
    """Pretrain a backbone by telling where on the body's surface the points of a crop lie.

    Section 4.4 of `Rethinking Self-Supervised Visual Representation Learning in Pre-training for 3D
    Human Pose and Shape Estimation <https://arxiv.org/abs/2303.05370>`_ pretrains with `DensePose
    <https://arxiv.org/abs/1802.00434>`_ and gives no network for it; here it is that of its 2D
    poses, `Simple Baselines <https://arxiv.org/abs/1804.06208>`_, with the targets of DensePose's
    own.

    Needs labels: data of :class:`~hsjp_mm.datasets.DensePoseDataset`, cropped by
    :class:`~hsjp_mm.datasets.TopdownDenseAffine`. ``hsjp_mm.DensePoseAccuracy`` measures the
    points, ``hsjp_mm.PartIoU`` the masks.

    Args:
        backbone, neck: as in a stock top-down config.
        head: as in a stock config, with ``type='hsjp_mm.DensePoseHead'``. A stock head's
            ``out_channels``, ``decoder`` and ``loss`` are dropped.
        data_preprocessor, init_cfg, train_cfg, test_cfg: as in a stock config.

    Raises:
        ValueError: a head of another type, data of other labels.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.DensePose',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.DensePoseHead', in_channels=2048),
        ... )
    """

    measures = (
        Measure('densepose/index', 'points whose chart is told right', share=True),
        Measure('densepose/uv_error', 'mean distance in U and V'),
        Measure('parts/iou', 'mean IoU of the parts', share=True),
    )
    health = Measure('index', 'points of a batch whose chart is told right')
    save_best = 'densepose/index'
    board = 'hsjp_mm.visualization.densepose.draw_densepose'
    parts = DENSEPOSE_PARTS

    def __init__(
        self,
        backbone: dict,
        head: dict,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        super().__init__(
            identity={'charts': CHARTS},
            backbone=backbone,
            neck=neck,
            head=pretext_head(head, DensePoseHead, drop=('out_channels', 'decoder', 'loss')),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
        )

    def prepare(self, dataset) -> None:
        """See that the data set has DensePose's masks."""
        require_parts(dataset, self.parts)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Predict the surface of the crops (B, 3, H, W); the head's losses and measures."""
        feats = self.extract_feat(inputs)
        return self.head.loss(feats, part_labels(data_samples), dense_points(data_samples))

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Predict the surface of the crops (B, 3, H, W).

        Adds to each data sample ``pred_fields.part_labels`` and ``pred_fields.chart_labels``
        (1, h, w), and, at its P annotated points, ``pred_instances.dense_charts`` (1, P),
        ``dense_uv`` (1, P, 2), and ``dense_inside`` (1, P), False for those outside of the crop,
        which do not count.
        """
        points = dense_points(data_samples)
        height, width = inputs.shape[-2:]
        parts, charts, at_points, uv = self.head.predict(self.extract_feat(inputs), points, width)
        inside = points.inside(height, width)
        for i, sample in enumerate(data_samples):
            own = points.samples == i
            sample.pred_fields = PixelData(
                part_labels=parts[i : i + 1].cpu(), chart_labels=charts[i : i + 1].cpu()
            )
            sample.pred_instances = InstanceData(
                dense_charts=at_points[own][None].cpu(),
                dense_uv=uv[own][None].cpu(),
                dense_inside=inside[own][None].cpu(),
            )
        return data_samples


def dense_points(data_samples: list) -> DensePoints:
    """Put the annotated points of data samples into one list.

    Raises:
        ValueError: a data sample has none.
    """
    if any('dense_points' not in sample.gt_instance_labels for sample in data_samples):
        raise ValueError(
            'a data sample has no points of the surface: hsjp_mm.DensePoseDataset has them, and '
            'hsjp_mm.TopdownDenseAffine crops them'
        )
    labels = [sample.gt_instance_labels for sample in data_samples]
    numbers = [label.dense_points.shape[1] for label in labels]
    places = torch.cat([label.dense_points[0] for label in labels])
    return DensePoints(
        places=places,
        samples=torch.arange(len(labels))
        .repeat_interleave(torch.tensor(numbers))
        .to(places.device),
        charts=torch.cat([label.dense_charts[0] for label in labels]),
        uv=torch.cat([label.dense_uv[0] for label in labels]),
    )
