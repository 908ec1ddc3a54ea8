"""The head of SimSiam: a projector and a predictor."""

from collections.abc import Sequence

from torch import Tensor

from hsjp_mm.models.heads.projection_head import (
    ProjectionHead,
    build_mlp,
    negative_cosine,
    require_finite,
    run_mlp,
)
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class SimSiamHead(ProjectionHead):
    """Predict the projection of one view from that of the other.

    Section 3 of `Exploring Simple Siamese Representation Learning
    <https://arxiv.org/abs/2011.10566>`_: a projector of three layers whose last norm has no weights
    of its own, and a predictor with a narrow hidden layer. The learning rate of the predictor is
    held by ``hsjp_mm.FixedRateHook``, see the config.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        channels: of the projector, in all of its layers.
        predictor_channels: of the predictor's hidden layer.
        init_cfg: as in MMEngine's BaseModule.

    Examples:
        >>> head = dict(type='hsjp_mm.SimSiamHead', in_channels=2048)
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 2048,
        predictor_channels: int = 512,
        init_cfg: dict | list | None = None,
    ):
        # a bias right before a norm would be of no effect, so there is none
        projector = dict(
            hidden_channels=channels,
            out_channels=channels,
            num_layers=3,
            with_last_bn_affine=False,
        )
        super().__init__(in_channels, projector, init_cfg)
        self.predictor = build_mlp(
            channels, predictor_channels, channels, with_last_bn=False, with_last_bias=True
        )

    def loss(self, projections: Sequence[Tensor]) -> Tensor:
        """Compute equation (2), the mean over both directions of minus the cosine.

        Args:
            projections: of two views, (B, D) each.

        Raises:
            ValueError: they are not finite.
        """
        first, second = projections
        require_finite(first)
        predicted = [run_mlp(self.predictor, one) for one in projections]
        return (negative_cosine(predicted[0], second) + negative_cosine(predicted[1], first)) / 2
