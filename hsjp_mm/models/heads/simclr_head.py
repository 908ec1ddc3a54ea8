"""The head of SimCLR: a projector, and the loss over all views of the whole batch.

Letters: B images of this process, V views, C channels of a vector, D of an embedding.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hsjp_mm.models.heads.projection_head import ProjectionHead, require_finite
from hsjp_mm.models.losses import SupervisedContrastiveLoss
from hsjp_mm.ops import distributed
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class SimCLRHead(ProjectionHead):
    """Tell the other views of an image from the views of all other images.

    Section 2.1 and equation (1) of `A Simple Framework for Contrastive Learning of Visual
    Representations <https://arxiv.org/abs/2002.05709>`_, over the images of all processes.
    mmpretrain's ContrastiveHead has the same loss in one process; over several its gather returns
    each process the gradient of its own loss alone.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        hidden_channels, out_channels, num_layers: of the projector.
        last_norm: whether the projector ends with a batch norm.
        temperature: τ.
        init_cfg: as in MMEngine's BaseModule.

    Examples:
        >>> head = dict(type='hsjp_mm.SimCLRHead', in_channels=2048)
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 2048,
        out_channels: int = 128,
        num_layers: int = 2,
        last_norm: bool = True,
        temperature: float = 0.1,
        init_cfg: dict | list | None = None,
    ):
        projector = dict(
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            num_layers=num_layers,
            with_last_bn=last_norm,
        )
        super().__init__(in_channels, projector, init_cfg)
        self.contrastive_loss = SupervisedContrastiveLoss(temperature)

    def loss(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Compute the loss of the whole batch; all processes return the same.

        Args:
            embeddings: V of (B, D), of length 1.

        Raises:
            ValueError: the embeddings are not finite.
        """
        own = torch.stack(list(embeddings), dim=1).flatten(0, 1)
        # autocast would take the similarities in half precision
        with torch.autocast(own.device.type, enabled=False):
            sizes = distributed.sizes_of(len(own), own.device)
            everyone = distributed.gather(own, sizes)
            require_finite(everyone)
            images = torch.arange(len(everyone) // len(embeddings), device=own.device)
            labels = images.repeat_interleave(len(embeddings))
            first = sum(sizes[: distributed.get_rank()])
            rows = self.contrastive_loss(own, everyone, labels, first)
            return distributed.total(rows.sum()) / len(everyone)
