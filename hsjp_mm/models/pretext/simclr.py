"""SimCLR: the views of a crop against those of all other crops."""

from torch import Tensor

from hsjp_mm.models.heads.simclr_head import SimCLRHead
from hsjp_mm.models.pretext.views import ViewsModel, view_measures
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class SimCLR(ViewsModel):
    """Pretrain a backbone by finding the other view of a crop among those of the whole batch.

    `A Simple Framework for Contrastive Learning of Visual Representations
    <https://arxiv.org/abs/2002.05709>`_, on person crops. mmpretrain's SimCLR has no measure, no
    check of what is loaded, and in several processes other gradients than in one (see
    :class:`~hsjp_mm.models.heads.SimCLRHead`); its projector is used.

    Args:
        backbone, neck, views, input_size, ...: as in
            :class:`~hsjp_mm.models.pretext.views.ViewsModel`.
        head: with ``type='hsjp_mm.SimCLRHead'``.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.SimCLR',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.SimCLRHead', in_channels=2048),
        ... )
    """

    head_class = SimCLRHead
    recipe = (
        dict(
            num=2,
            area=(0.08, 1.0),
            flip_prob=0.5,
            colors=dict(
                brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, jitter_prob=0.8,
                gray_prob=0.2, blur_prob=0.5, blur_sigma=(0.1, 2.0), solarize_prob=0.0,
            ),
        ),
    )  # fmt: skip

    def loss(self, inputs: tuple[Tensor, ...], data_samples=None) -> dict[str, Tensor]:
        """Compare the views, V of (B, 3, h, w), of all processes."""
        self.require_views(inputs)
        embeddings = [self.embed(view) for view in inputs]
        return {'loss_contrastive': self.head.loss(embeddings), **view_measures(embeddings)}
