"""The supervised contrastive loss, which every contrastive pretext task here is a case of.

Letters: P vectors of the whole batch, Q those of this process, C channels.
"""

import torch
from torch import Tensor, nn

from hsjp_mm.registry import MODELS
from hsjp_mm.utils.moved import old_class


@MODELS.register_module()
class SupervisedContrastiveLoss(nn.Module):
    """Pull together the vectors of one label, and push away those of others.

    The loss L_out of `Supervised Contrastive Learning <https://arxiv.org/abs/2004.11362>`_,
    equation (2) there: for each vector the mean, over the others of its label, of minus the
    logarithm of their share among all others. With images as labels of patches it is JigClu's
    clustering loss, equations (1) and (2) of `its paper <https://arxiv.org/abs/2104.00323>`_ with
    the inner sum over the other patches of the image; with two views of each image it is SimCLR's.

    Args:
        temperature: \u03c4.

    Raises:
        ValueError: ``temperature`` is not positive.

    Examples:
        >>> loss = dict(type='hsjp_mm.SupervisedContrastiveLoss', temperature=0.3)
    """

    def __init__(self, temperature: float):
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'temperature={temperature} must be positive')
        self.temperature = temperature

    def forward(self, own: Tensor, everyone: Tensor, labels: Tensor, first: int = 0) -> Tensor:
        """Compute the summand of each vector of this process.

        Args:
            own: (Q, C) vectors of length 1.
            everyone: (P, C) those of all processes.
            labels: (P,) of all of them.
            first: where ``own`` begins in ``everyone``.

        Returns:
            (Q,); 0 for a vector that is alone with its label. The loss of the batch is the sum over
            all processes divided by the number of vectors that are not alone.
        """
        logits = own @ everyone.T / self.temperature
        itself = torch.eye(len(own), len(everyone), dtype=torch.bool, device=own.device)
        itself = itself.roll(first, dims=1)
        logits = logits.masked_fill(itself, -torch.inf)
        log_share = logits - logits.logsumexp(dim=1, keepdim=True)
        same = (labels[first : first + len(own), None] == labels) & ~itself
        return -log_share.masked_fill(~same, 0).sum(dim=1) / same.sum(dim=1).clamp(min=1)


ClusteringLoss = old_class('ClusteringLoss', SupervisedContrastiveLoss)
