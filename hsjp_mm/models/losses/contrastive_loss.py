"""The loss of Jigsaw Clustering's clustering branch.

Letters: P patches of the whole batch, Q those of this process, C channels.
"""

import torch
from torch import Tensor, nn


class ClusteringLoss(nn.Module):
    """Pull together the patches of an image, and push away those of others.

    Equations (1) and (2) of `Jigsaw Clustering for Unsupervised Visual Representation Learning
    <https://arxiv.org/abs/2104.00323>`_, the inner sum of (2) over the other patches of the image.

    Args:
        temperature: τ.

    Raises:
        ValueError: ``temperature`` is not positive.
    """

    def __init__(self, temperature: float):
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'temperature={temperature} must be positive')
        self.temperature = temperature

    def forward(self, own: Tensor, everyone: Tensor, images: Tensor, first: int = 0) -> Tensor:
        """Compute the summand of equation (2) for each patch of this process.

        Args:
            own: (Q, C) embeddings of length 1.
            everyone: (P, C) those of all processes.
            images: (P,) the image that each patch comes from; at least two patches of each.
            first: where ``own`` begins in ``everyone``.

        Returns:
            (Q,); equation (2) is the sum over all processes divided by P.
        """
        logits = own @ everyone.T / self.temperature
        itself = torch.eye(len(own), len(everyone), dtype=torch.bool, device=own.device)
        itself = itself.roll(first, dims=1)
        logits = logits.masked_fill(itself, -torch.inf)
        log_share = logits - logits.logsumexp(dim=1, keepdim=True)
        same = (images[first : first + len(own), None] == images) & ~itself
        return -log_share.masked_fill(~same, 0).sum(dim=1) / same.sum(dim=1)
