"""MoCo v2: the key of a view against those of earlier batches.

Letters: B images of this process, D channels of an embedding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hsjp_mm.models.heads.moco_head import MoCoHead
from hsjp_mm.models.pretext.momentum import MomentumModel
from hsjp_mm.models.pretext.simsiam import MOCO_V2_VIEWS
from hsjp_mm.models.pretext.views import key_measures
from hsjp_mm.ops import distributed
from hsjp_mm.registry import MODELS

ALONE = 4
"""Parts of a batch on a single process."""


@MODELS.register_module()
class MoCo(MomentumModel):
    """Pretrain a backbone by finding the key of a crop among those of many others.

    `Momentum Contrast <https://arxiv.org/abs/1911.05722>`_ with the recipe of `version 2
    <https://arxiv.org/abs/2003.04297>`_, on person crops. The keys are made by a moving average.

    Batch norm tells a view which key is its own if both are normalised with the same images. So
    the images of all processes are shuffled before the keys are made (section 3.3 of the first
    paper), and each process normalises its own. On a single process there is nothing to shuffle
    them into: there queries and keys go through the network in ``splits`` parts, each normalised
    by itself, as in the authors' demonstration on one GPU. For the same reason leave ``sync_bn``
    out of the config.

    Args:
        backbone, neck, views, input_size, ...: as in
            :class:`~hsjp_mm.models.pretext.views.ViewsModel`.
        head: with ``type='hsjp_mm.MoCoHead'``.
        momentum: the share of the network in the average; one minus the paper's m.
        splits: into how many parts the batch of a process is split. By default 4 on a single
            process and 1 on several.

    Raises:
        ValueError: ``splits`` below 1.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.MoCo',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.MoCoHead', in_channels=2048),
        ... )
    """

    head_class = MoCoHead
    recipe = MOCO_V2_VIEWS

    def __init__(self, *, momentum: float = 0.001, splits: int | None = None, **arguments):
        super().__init__(momentum=momentum, anneal=False, **arguments)
        if splits is not None and splits < 1:
            raise ValueError(f'splits={splits} must be at least 1')
        self.splits = splits

    def _parts(self, images: Tensor) -> tuple[Tensor, ...]:
        """Split a batch into parts of two images or more, which is what batch norm needs."""
        alone = distributed.get_world_size() == 1
        splits = (ALONE if alone else 1) if self.splits is None else self.splits
        return images.tensor_split(max(1, min(splits, len(images) // 2)))

    def loss(self, inputs: tuple[Tensor, ...], data_samples=None) -> dict[str, Tensor]:
        """Find the keys of the second views by the first ones, (B, 3, h, w) each."""
        self.require_views(inputs)
        self.update_target()
        queries = torch.cat([self.embed(part) for part in self._parts(inputs[0])])
        keys = self.keys(inputs[1])
        return {'loss_contrastive': self.head.loss(queries, keys), **key_measures(queries, keys)}

    @torch.no_grad()
    def keys(self, images: Tensor) -> Tensor:
        """Make the keys (B, D) of views (B, 3, h, w), normalised in another company than theirs."""
        sizes = distributed.sizes_of(len(images), images.device)
        order = distributed.shared_order(sum(sizes))
        shuffled = distributed.exchange(images, order, sizes)
        keys = torch.cat([self.target_projections(part) for part in self._parts(shuffled)])
        return F.normalize(distributed.exchange(keys, order.argsort(), sizes), dim=1)
