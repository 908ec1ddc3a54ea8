"""The moving average of a network that gives the targets: MoCo's key encoder, BYOL's target."""

import math

import torch
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn

from hsjp_mm.models.heads.projection_head import run_mlp
from hsjp_mm.models.pretext.views import ViewsModel


class MomentumModel(ViewsModel):
    """A model that compares views with what a moving average of itself makes of others.

    The average is of MMEngine, or with ``anneal`` a :class:`CosineAverage`. It begins as a
    copy of the network with the first step, so it starts from whatever the backbone was loaded
    with. It moves once for each step of the optimizer, however many batches that gathers. Its norms
    use the statistics of their own batch, as in the papers' code. It is part of a checkpoint,
    as ``target.…``, so that a resumed run is the same; an export leaves it out.

    Args:
        momentum: the share of the network in the average at each step; the papers call one minus
            this the momentum.
        anneal: whether it falls to 0 over the run, by a cosine.
        arguments: as in :class:`ViewsModel`.

    Raises:
        ValueError: ``momentum`` outside (0, 1).
    """

    num_views = (2, 2)

    def __init__(self, *, momentum: float, anneal: bool, **arguments):
        super().__init__(**arguments)
        if not 0 < momentum < 1:
            raise ValueError(f'momentum={momentum} must be in (0, 1)')
        average = CosineAverage if anneal else ExponentialMovingAverage
        self.anneal = anneal
        self.target = average(self._network(), momentum=momentum)

    def _network(self) -> nn.ModuleDict:
        """What is averaged: all that makes an embedding of an image."""
        parts = {'backbone': self.backbone, 'projector': self.head.projector}
        if self.with_neck:
            parts['neck'] = self.neck
        return nn.ModuleDict(parts)

    @torch.compiler.disable  # the number of the iteration, which would compile each anew
    @torch.no_grad()
    def update_target(self) -> None:
        """Move the average towards the network, if the optimizer has changed it since.

        Raises:
            RuntimeError: with ``anneal``, outside of a run of MMEngine's Runner, which knows how
                many steps there are.
        """
        known = MessageHub.get_current_instance().runtime_info
        if self.anneal and not {'iter', 'max_iters'} <= set(known):
            raise RuntimeError(
                f"{type(self).__name__}'s target follows a cosine over the run, but no runner has "
                "told MMEngine's MessageHub how long it is ('iter', 'max_iters')"
            )
        if known.get('iter', 0) % self.accumulative_counts and self.target.steps:
            return
        self.target.update_parameters(self._network())

    @torch.no_grad()
    def target_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Run the average's backbone and neck."""
        maps = self.target.module['backbone'](images)
        return self.target.module['neck'](maps) if self.with_neck else maps

    @torch.no_grad()
    def target_projections(self, images: Tensor) -> Tensor:
        """Project views (B, 3, h, w) by the average, (B, D) of any length."""
        vectors = self.target_maps(images)[-1].mean(dim=(2, 3))
        return run_mlp(self.target.module['projector'], vectors)


class CosineAverage(ExponentialMovingAverage):
    """An average whose share falls to 0 by a cosine over the iterations of this run.

    mmpretrain's CosineEMA counts the steps of all runs instead, for a checkpoint holds the count: a
    second run that loads one would begin where the first has ended, at a share of 0.
    """

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        """Move a parameter."""
        run = MessageHub.get_current_instance().runtime_info
        share = self.momentum * (math.cos(math.pi * run['iter'] / run['max_iters']) + 1) / 2
        averaged_param.lerp_(source_param, share)
