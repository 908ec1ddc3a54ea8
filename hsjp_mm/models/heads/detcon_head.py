"""The heads of DetCon: a projector, and the loss over the segments of all views.

Letters: B images of this process, N of all, M segments drawn of each view, C channels of a vector,
D of an embedding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hsjp_mm.models.heads.projection_head import (
    ProjectionHead,
    build_mlp,
    require_finite,
    run_mlp,
)
from hsjp_mm.ops import distributed
from hsjp_mm.registry import MODELS


class DetConHead(ProjectionHead):
    """Tell a segment in the other view of its image from all other segments of all views.

    Section 3.1 and equation (3) of `Efficient Visual Pretraining with Contrastive Detection
    <https://arxiv.org/abs/2103.10957>`_, over the images of all processes. What the paper leaves
    open of segments that are drawn twice, or that the other view does not show, is as in the
    authors' code.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        projector: arguments of :func:`~hsjp_mm.models.heads.projection_head.build_mlp`.
        temperature: τ.
        init_cfg: as in MMEngine's BaseModule.

    Raises:
        ValueError: ``temperature`` is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        projector: dict,
        temperature: float,
        init_cfg: dict | list | None = None,
    ):
        if not temperature > 0:
            raise ValueError(f'temperature={temperature} must be positive')
        super().__init__(in_channels, projector, init_cfg)
        self.temperature = temperature

    def project_segments(self, vectors: Tensor) -> Tensor:
        """Project the vectors of segments, (B, M, C) → (B, M, D) of any length."""
        return self.project(vectors.flatten(0, 1)).unflatten(0, vectors.shape[:2])

    def loss(self, anchors: Tensor, keys: Tensor, drawn: Tensor) -> dict[str, Tensor]:
        """Compute the loss and the measures of the whole batch; all processes return the same.

        The sum over both views of the mean over their anchors of: the mean over the anchor's
        positives, which are the keys of its segment in the other view, of minus the logarithm of
        their share among all keys but those of its segment in its own view; 0 where the other view
        has none; divided by how often its segment has been drawn from its own view.

        Args:
            anchors: (B, 2, M, D) of two views, of any length.
            keys: (B, 2, M, D) of the same segments.
            drawn: (B, 2, M) the segments of each image.

        Returns:
            ``loss_contrastive``; ``segment_retrieval``, of the anchors that have positives the
            share whose nearest one of all keys of the other views is a positive; its
            ``segment_retrieval_chance``.

        Raises:
            ValueError: the embeddings are not finite.
        """
        # autocast would take the similarities in half precision
        with torch.autocast(anchors.device.type, enabled=False):
            return self._losses(F.normalize(anchors, dim=3), F.normalize(keys, dim=3), drawn)

    def _losses(self, anchors: Tensor, keys: Tensor, drawn: Tensor) -> dict[str, Tensor]:
        sizes = distributed.sizes_of(len(keys), keys.device)
        first = sum(sizes[: distributed.get_rank()])
        keys, everyone = distributed.gather(keys, sizes), distributed.gather(drawn, sizes)
        for embeddings in (keys, anchors):
            require_finite(embeddings)
        same, other_view = compare(drawn, everyone, first)
        positive, excluded = same & other_view, same & ~other_view
        cosines = anchors.flatten(0, 2) @ keys.flatten(0, 2).T
        logits = (cosines / self.temperature).masked_fill(excluded, -torch.inf)
        log_share = logits - logits.logsumexp(dim=1, keepdim=True)
        positives = positive.sum(dim=1)
        rows = -log_share.masked_fill(~positive, 0).sum(dim=1) / positives.clamp(min=1)
        rows = rows / excluded.sum(dim=1)
        number = everyone[:, 0].numel()  # anchors of one view
        with torch.no_grad():
            nearest = cosines.masked_fill(~other_view, -torch.inf).argmax(dim=1, keepdim=True)
            found = positive.gather(1, nearest).sum()
            counts = torch.stack([(positives > 0).sum(), found, positives.sum()])
            anchored, found, pairs = distributed.total(counts.to(rows)).unbind()
        return {
            'loss_contrastive': distributed.total(rows.sum()) / number,
            'segment_retrieval': found / anchored.clamp(min=1),
            'segment_retrieval_chance': pairs / anchored.clamp(min=1) / number,
        }


@MODELS.register_module()
class DetConSHead(DetConHead):
    """The head of DetCon-S, with SimCLR's projector: the anchors are keys, too.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        hidden_channels, out_channels: of the projector.
        temperature: τ.
        init_cfg: as in MMEngine's BaseModule.

    Raises:
        ValueError: ``temperature`` is not positive.

    Examples:
        >>> head = dict(type='hsjp_mm.DetConSHead', in_channels=2048)
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 2048,
        out_channels: int = 128,
        temperature: float = 0.1,
        init_cfg: dict | list | None = None,
    ):
        projector = dict(hidden_channels=hidden_channels, out_channels=out_channels)
        super().__init__(in_channels, projector, temperature, init_cfg)


@MODELS.register_module()
class DetConBHead(DetConHead):
    """The head of DetCon-B, with BYOL's projector and predictor: the anchors are predictions.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        hidden_channels, out_channels: of the projector and the predictor.
        temperature: τ.
        init_cfg: as in MMEngine's BaseModule.

    Raises:
        ValueError: ``temperature`` is not positive.

    Examples:
        >>> head = dict(type='hsjp_mm.DetConBHead', in_channels=2048)
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 4096,
        out_channels: int = 256,
        temperature: float = 0.1,
        init_cfg: dict | list | None = None,
    ):
        layers: dict[str, Any] = dict(
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            with_bias=True,
            with_last_bn=False,
        )
        super().__init__(in_channels, layers, temperature, init_cfg)
        self.predictor = build_mlp(out_channels, **layers)

    def predict(self, projections: Tensor) -> Tensor:
        """Predict the target's projections, (B, M, D) → (B, M, D) of any length."""
        rows = run_mlp(self.predictor, projections.flatten(0, 1))
        return rows.unflatten(0, projections.shape[:2])


def compare(own: Tensor, everyone: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """Compare segments of this process with those of all.

    Args:
        own: (B, 2, M) numbers of segments of each image.
        everyone: (N, 2, M).
        first: where ``own`` begins in ``everyone``.

    Returns:
        (B·2·M, N·2·M) bool: whether two are the same segment of the same image; whether they are of
        different views.
    """
    images, views, drawn = (
        part.expand_as(everyone).flatten()
        for part in (
            torch.arange(len(everyone), device=own.device)[:, None, None],
            torch.arange(2, device=own.device)[:, None],
            everyone,
        )
    )
    each = own[0].numel()
    mine = slice(first * each, (first + len(own)) * each)
    same = (images[mine, None] == images) & (drawn[mine, None] == drawn)
    return same, views[mine, None] != views
