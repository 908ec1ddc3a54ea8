"""The head of MoCo: a projector, and the queue of keys.

Letters: B images of this process, N of all, L keys in the queue, D channels of an embedding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hsjp_mm.models.heads.projection_head import ProjectionHead, require_finite
from hsjp_mm.ops import distributed
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class MoCoHead(ProjectionHead):
    """Tell the key of a view from those of earlier batches.

    Section 3 and equation (1) of `Momentum Contrast <https://arxiv.org/abs/1911.05722>`_ with the
    projector of `MoCo v2 <https://arxiv.org/abs/2003.04297>`_, which has no batch norm.
    mmpretrain's MoCo refuses a batch that does not divide the queue, such as the last one of an
    epoch; here any batch goes in, and the queue is a ring.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        hidden_channels, out_channels: of the projector.
        queue_length: L.
        temperature: τ.
        init_cfg: as in MMEngine's BaseModule.

    Raises:
        ValueError: ``queue_length`` below 1, ``temperature`` not positive.

    Examples:
        >>> head = dict(type='hsjp_mm.MoCoHead', in_channels=2048)
    """

    queue: Tensor
    place: Tensor

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 2048,
        out_channels: int = 128,
        queue_length: int = 65536,
        temperature: float = 0.2,
        init_cfg: dict | list | None = None,
    ):
        if queue_length < 1 or not temperature > 0:
            raise ValueError(
                f'queue_length={queue_length} must be at least 1 and temperature={temperature} '
                'positive'
            )
        layers = dict(hidden_channels=hidden_channels, out_channels=out_channels, norm=False)
        super().__init__(in_channels, layers, init_cfg)
        self.temperature = temperature
        # random keys until the first batches have taken their places, as in the authors' code
        # on the CPU also where a model is built without memory, on which old versions of torch
        # draw by no generator
        generator = torch.Generator().manual_seed(0)
        keys = torch.randn(queue_length, out_channels, generator=generator, device='cpu')
        self.register_buffer('queue', F.normalize(keys, dim=1))
        self.register_buffer('place', torch.zeros((), dtype=torch.long))

    def loss(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Compute the loss of the queries of this process, and put all keys into the queue.

        Args:
            queries: (B, D), of length 1.
            keys: (B, D), of length 1, of the same images.

        Raises:
            ValueError: the queries are not finite, or the batch is larger than the queue.
        """
        require_finite(queries)
        # autocast would take the similarities in half precision
        with torch.autocast(queries.device.type, enabled=False):
            own = (queries * keys).sum(dim=1, keepdim=True)
            # a copy, for the queue changes before the backward pass
            logits = torch.cat([own, queries @ self.queue.clone().T], dim=1) / self.temperature
            first = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
            sizes = distributed.sizes_of(len(queries), queries.device)
            entropy = F.cross_entropy(logits, first, reduction='sum')
            loss = distributed.total(entropy) / sum(sizes)
            self._enqueue(distributed.gather(keys, sizes))
        return loss

    @torch.no_grad()
    def _enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys by those of all processes, (N, D)."""
        length = len(self.queue)
        if len(keys) > length:
            raise ValueError(
                f'queue_length={length} must be at least the {len(keys)} images of a batch over '
                'all processes'
            )
        # the place stays where the queue is: a GPU need not wait, and nothing is compiled anew
        places = (self.place + torch.arange(len(keys), device=keys.device)) % length
        self.queue[places] = keys.to(self.queue.dtype)
        self.place.copy_((self.place + len(keys)) % length)
