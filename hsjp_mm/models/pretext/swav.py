"""SwAV: views of a crop are to be assigned to the same prototypes."""

from torch import Tensor

from hsjp_mm.models.heads.swav_head import SwAVHead
from hsjp_mm.models.pretext.base import Measure
from hsjp_mm.models.pretext.views import ViewsModel, view_measures
from hsjp_mm.registry import MODELS

_COLORS = dict(
    brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, jitter_prob=0.8, gray_prob=0.2,
    blur_prob=0.5, blur_sigma=(0.1, 2.0), solarize_prob=0.0,
)  # fmt: skip


@MODELS.register_module()
class SwAV(ViewsModel):
    """Pretrain a backbone by predicting from views of a crop to which prototypes another belongs.

    `Unsupervised Learning of Visual Features by Contrasting Cluster Assignments
    <https://arxiv.org/abs/2006.09882>`_, on person crops, with its multi-crop: two large views,
    which are assigned, and six small ones of about 3/7 of the
    side. The small ones show 5 to 14 % of the
    crop, which on persons is a hand or background: ``views`` sets others.

    Args:
        backbone, neck, views, input_size, ...: as in
            :class:`~hsjp_mm.models.pretext.views.ViewsModel`.
        head: with ``type='hsjp_mm.SwAVHead'``.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.SwAV',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.SwAVHead', in_channels=2048),
        ... )
    """

    head_class = SwAVHead
    recipe = (
        dict(num=2, area=(0.14, 1.0), flip_prob=0.5, colors=_COLORS),
        dict(num=6, size=3 / 7, area=(0.05, 0.14), flip_prob=0.5, colors=_COLORS),
    )
    health = Measure('prototypes_used', 'share of the prototypes in use', share=True)

    def loss(self, inputs: tuple[Tensor, ...], data_samples=None) -> dict[str, Tensor]:
        """Compare the assignments of the views, V of (B, 3, h, w), of all processes."""
        self.require_views(inputs)
        embeddings = [self.embed(view) for view in inputs]
        return {**self.head.loss(embeddings), **view_measures(embeddings[:2])}
