"""BYOL: each view predicts what a moving average of the network makes of the other."""

from torch import Tensor

from hsjp_mm.models.heads.byol_head import BYOLHead
from hsjp_mm.models.pretext.momentum import MomentumModel
from hsjp_mm.models.pretext.views import view_measures
from hsjp_mm.registry import MODELS

_VIEW = dict(area=(0.08, 1.0), flip_prob=0.5)
_COLORS = dict(
    brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, jitter_prob=0.8, gray_prob=0.2,
    blur_sigma=(0.1, 2.0),
)  # fmt: skip


@MODELS.register_module()
class BYOL(MomentumModel):
    """Pretrain a backbone by predicting a moving average's embedding of the other view.

    `Bootstrap Your Own Latent <https://arxiv.org/abs/2006.07733>`_, on person crops, with the two
    distributions of views of its table 6. The loss, from 0 to 8, goes to 0 where all embeddings
    have become one, too: look at ``feature_std`` and ``retrieval``.

    Args:
        backbone, neck, views, input_size, ...: as in
            :class:`~hsjp_mm.models.pretext.views.ViewsModel`.
        head: with ``type='hsjp_mm.BYOLHead'``.
        momentum: the share of the network in the average at the first step, falling to 0 by a
            cosine; one minus the paper's τ.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.BYOL',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.BYOLHead', in_channels=2048),
        ... )
    """

    head_class = BYOLHead
    recipe = (
        dict(**_VIEW, colors=dict(**_COLORS, blur_prob=1.0, solarize_prob=0.0)),
        dict(**_VIEW, colors=dict(**_COLORS, blur_prob=0.1, solarize_prob=0.2)),
    )

    def __init__(self, *, momentum: float = 0.004, **arguments):
        super().__init__(momentum=momentum, anneal=True, **arguments)

    def loss(self, inputs: tuple[Tensor, ...], data_samples=None) -> dict[str, Tensor]:
        """Predict the targets of both views, (B, 3, h, w) each, from one another."""
        self.require_views(inputs)
        self.update_target()
        targets = [self.target_projections(view) for view in inputs]
        projections = [self.head.project(self.vectors(view)) for view in inputs]
        return {'loss_cosine': self.head.loss(projections, targets), **view_measures(projections)}
