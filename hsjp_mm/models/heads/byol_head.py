"""The head of BYOL: a projector, and a predictor of the target's projections."""

from collections.abc import Sequence
from typing import Any

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
class BYOLHead(ProjectionHead):
    """Predict what the target network makes of the other view.

    Section 3 and equation (2) of `Bootstrap Your Own Latent <https://arxiv.org/abs/2006.07733>`_.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        hidden_channels, out_channels: of the projector and the predictor.
        init_cfg: as in MMEngine's BaseModule.

    Examples:
        >>> head = dict(type='hsjp_mm.BYOLHead', in_channels=2048)
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 4096,
        out_channels: int = 256,
        init_cfg: dict | list | None = None,
    ):
        layers: dict[str, Any] = dict(
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            with_bias=True,
            with_last_bn=False,
        )
        super().__init__(in_channels, layers, init_cfg)
        self.predictor = build_mlp(out_channels, **layers)

    def loss(self, projections: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Compute the sum over both directions of 2 − 2·cosine.

        Args:
            projections: of two views, (B, D) each.
            targets: the target's, of the same views.

        Raises:
            ValueError: they are not finite.
        """
        require_finite(projections[0])
        predicted = [run_mlp(self.predictor, one) for one in projections]
        cosines = negative_cosine(predicted[0], targets[1]) + negative_cosine(
            predicted[1], targets[0]
        )
        return 4 + 2 * cosines
