"""What the heads of all methods that compare views have in common.

Letters: B images of this process, C channels of a vector, D of an embedding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from hsjp_mm.registry import MODELS
from hsjp_mm.utils.optional import import_optional


class ProjectionHead(BaseModule):
    """A projector, whose outputs are compared.

    Projectors and predictors are mmpretrain's, on vectors that are pooled already. Their norms are
    of torch's BatchNorm, which a config turns into one over all processes by ``sync_bn='torch'``.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        projector: arguments of :func:`build_mlp`.
        init_cfg: as in MMEngine's BaseModule.
    """

    def __init__(self, in_channels: int, projector: dict, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.projector = build_mlp(in_channels, **projector)

    def project(self, vectors: Tensor) -> Tensor:
        """Project vectors, (B, C) → (B, D), in single precision at least.

        Raises:
            ValueError: another number of channels than ``in_channels``.
        """
        if vectors.shape[1] != self.in_channels:
            raise ValueError(
                f'in_channels={self.in_channels}, but the last feature map has {vectors.shape[1]}'
            )
        return run_mlp(self.projector, vectors)

    def embed(self, vectors: Tensor) -> Tensor:
        """Project vectors, (B, C) → (B, D) of length 1."""
        return F.normalize(self.project(vectors), dim=1)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Embed the last of the network's maps, as in MMPose's mode 'tensor'."""
        return self.embed(feats[-1].mean(dim=(2, 3)))


def build_mlp(
    in_channels: int, hidden_channels: int, out_channels: int, norm: bool = True, **options: Any
):
    """Build mmpretrain's NonLinearNeck for vectors, or without norms its MoCoV2Neck.

    Args:
        in_channels, hidden_channels, out_channels: of the layers.
        norm: whether batch norm follows on hidden layers.
        options: of the neck.
    """
    import_optional('mmpretrain', 'a projector of mmpretrain')
    import_optional('mmpretrain.models', 'a projector of mmpretrain')
    kind: dict[str, Any] = dict(type='mmpretrain.MoCoV2Neck')
    if norm:
        kind = dict(type='mmpretrain.NonLinearNeck', norm_cfg=dict(type='BN1d'))
    return MODELS.build(
        dict(
            **kind,
            in_channels=in_channels,
            hid_channels=hidden_channels,
            out_channels=out_channels,
            with_avg_pool=False,
            **options,
        )
    )


def run_mlp(mlp: nn.Module, vectors: Tensor) -> Tensor:
    """Run a projector or predictor on vectors (B, C), in single precision at least."""
    return widened(mlp((vectors,))[0])


def widened(values: Tensor) -> Tensor:
    """Half precision would be too coarse for the similarities."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def require_finite(embeddings: Tensor) -> None:
    """Stop a run that has diverged.

    Raises:
        ValueError: NaN or infinity.
    """
    if not embeddings.isfinite().all():
        raise ValueError(
            'the embeddings of the views hold NaN or infinity: the run has diverged (try a lower '
            'learning rate), or the input or the initial weights were not finite'
        )


def negative_cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """The mean over the rows of minus their cosine; no gradient goes into ``target``."""
    return -F.cosine_similarity(predicted, target.detach(), dim=1).mean()
