"""SimSiam: each view predicts the other, with nothing to tell it from."""

from torch import Tensor

from hsjp_mm.models.heads.simsiam_head import SimSiamHead
from hsjp_mm.models.pretext.views import ViewsModel, view_measures
from hsjp_mm.registry import MODELS

MOCO_V2_VIEWS = (
    dict(
        num=2,
        area=(0.2, 1.0),
        flip_prob=0.5,
        colors=dict(
            brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, jitter_prob=0.8, gray_prob=0.2,
            blur_prob=0.5, blur_sigma=(0.1, 2.0), solarize_prob=0.0,
        ),
    ),
)  # fmt: skip
"""The views of MoCo v2, which SimSiam has taken over."""


@MODELS.register_module()
class SimSiam(ViewsModel):
    """Pretrain a backbone by predicting one view of a crop from the other.

    `Exploring Simple Siamese Representation Learning <https://arxiv.org/abs/2011.10566>`_, on
    person crops. The loss goes to −1 where all embeddings have become one, too: look at
    ``feature_std`` and ``retrieval``.

    Args:
        backbone, neck, views, input_size, ...: as in
            :class:`~hsjp_mm.models.pretext.views.ViewsModel`.
        head: with ``type='hsjp_mm.SimSiamHead'``.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.SimSiam',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.SimSiamHead', in_channels=2048),
        ... )
    """

    head_class = SimSiamHead
    num_views = (2, 2)
    recipe = MOCO_V2_VIEWS

    def loss(self, inputs: tuple[Tensor, ...], data_samples=None) -> dict[str, Tensor]:
        """Predict both views, (B, 3, h, w) each, from one another."""
        self.require_views(inputs)
        projections = [self.head.project(self.vectors(view)) for view in inputs]
        return {'loss_cosine': self.head.loss(projections), **view_measures(projections)}
