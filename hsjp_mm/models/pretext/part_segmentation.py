"""Part segmentation as pretraining: the network that tells the parts of a person."""

from collections.abc import Sequence

import torch
from mmengine.structures import PixelData
from torch import Tensor

from hsjp_mm.datasets.part_masks import require_parts
from hsjp_mm.models.heads.part_segmentation_head import PartSegmentationHead
from hsjp_mm.models.pretext.base import Measure, PretextModel, pretext_head
from hsjp_mm.ops.part_labels import DENSEPOSE_PARTS
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class PartSegmentation(PretextModel):
    """Pretrain a backbone by labelling the pixels of a person crop with body parts.

    Section 4.4 of `Rethinking Self-Supervised Visual Representation Learning in Pre-training for 3D
    Human Pose and Shape Estimation <https://arxiv.org/abs/2303.05370>`_, whose "part segmentation
    est." is on the 14 masks of DensePose-COCO. The paper gives no network for it; here it is that
    of its 2D poses, `Simple Baselines <https://arxiv.org/abs/1804.06208>`_.

    Needs labels: data of :class:`~hsjp_mm.datasets.PartMaskDataset`, cropped by
    :class:`~hsjp_mm.datasets.TopdownDenseAffine`, with ``hsjp_mm.PrepareDataHook`` in the config,
    which compares the parts of the data with those of the model. ``hsjp_mm.PartIoU`` measures.

    Args:
        backbone, neck: as in a stock top-down config.
        head: as in a stock config, with ``type='hsjp_mm.PartSegmentationHead'``. Its number of
            channels follows from ``parts``, and a stock head's ``out_channels``, ``decoder`` and
            ``loss`` are dropped.
        parts: names of the N parts, in the order of their labels; by default DensePose-COCO's.
        data_preprocessor, init_cfg, train_cfg, test_cfg: as in a stock config.

    Raises:
        ValueError: a head of another type, data that label other parts, weights for other parts or
            another order of them.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.PartSegmentation',
        ...     parts=('head', 'body', 'left_arm', 'right_arm'),
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.PartSegmentationHead', in_channels=2048),
        ... )
    """

    measures = (
        Measure('parts/iou', 'mean IoU of the parts', share=True),
        Measure('parts/accuracy', 'cells labelled right', share=True),
    )
    health = Measure('iou', 'mean IoU of the parts in a batch')
    save_best = 'parts/iou'
    board = 'hsjp_mm.visualization.part_segmentation.draw_parts'

    def __init__(
        self,
        backbone: dict,
        head: dict,
        neck: dict | None = None,
        parts: Sequence[str] = DENSEPOSE_PARTS,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        super().__init__(
            identity={'parts': len(parts), 'names': ', '.join(parts)},
            backbone=backbone,
            neck=neck,
            head=pretext_head(
                head,
                PartSegmentationHead,
                drop=('out_channels', 'decoder', 'loss'),
                num_parts=len(parts),
            ),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
        )
        self.parts = tuple(parts)

    def prepare(self, dataset) -> None:
        """See that the data set labels the model's parts."""
        require_parts(dataset, self.parts)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Segment the crops (B, 3, H, W); the head's loss and measures."""
        return self.head.loss(self.extract_feat(inputs), part_labels(data_samples))

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Segment the crops (B, 3, H, W).

        Adds to each data sample ``pred_fields.part_labels`` (1, h, w).
        """
        found = self.head.predict(self.extract_feat(inputs)).cpu()
        for sample, labels in zip(data_samples, found, strict=True):
            sample.pred_fields = PixelData(part_labels=labels[None])
        return data_samples


def part_labels(data_samples: list) -> Tensor:
    """Stack the labels of B data samples, (B, H, W).

    Raises:
        ValueError: a data sample has none.
    """
    if any('part_labels' not in sample.get('gt_fields', ()) for sample in data_samples):
        raise ValueError(
            'a data sample has no part labels: hsjp_mm.TopdownDenseAffine makes them of the masks '
            'of hsjp_mm.PartMaskDataset'
        )
    return torch.cat([sample.gt_fields.part_labels for sample in data_samples])
