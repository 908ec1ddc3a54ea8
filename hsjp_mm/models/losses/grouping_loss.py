"""The loss of the tags that group keypoints into persons.

Letters: B batch, K keypoints, N persons, L tag dimensions; h and w height and width of a map.
"""

from collections.abc import Sequence

import torch
from mmpose.models.losses import AssociativeEmbeddingLoss
from torch import Tensor

from hsjp_mm.registry import MODELS


@MODELS.register_module()
class GroupingLoss(AssociativeEmbeddingLoss):
    """Pull the tags of a person together and push the persons apart, averaged over the batch.

    The 'exp' form of HigherHRNet's released code, after `Associative Embedding
    <https://arxiv.org/abs/1611.05424>`_: pull is the mean over the persons of their tags'
    variance; push the mean of exp(−d²) over the pairs of different persons, d being the distance
    of their mean tags. The stock loss sums over the batch, so that its weight grows with the
    batch size (24-fold against the paper's 1e-3); it adds to push a constant 1/(N−1), the
    distance of each person to itself; and it reads one tag at a time.

    Args:
        loss_weight: factor of both terms.
        push_loss_factor: factor of push besides.

    Examples:
        >>> head = dict(
        ...     type='hsjp_mm.HigherHRNetHead',
        ...     in_channels=32,
        ...     num_keypoints=17,
        ...     tag_loss=dict(type='hsjp_mm.GroupingLoss', loss_weight=1e-3),
        ... )
    """

    def forward(
        self, tags: Tensor, keypoint_indices: Sequence[Tensor] | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute both terms.

        Args:
            tags: (B, L·K, h, w), the L maps of all keypoints one after the other.
            keypoint_indices: B tensors (N, K, 2) of [y·w + x, visible], in cells of ``tags``; N
                may be 0. A person without a visible keypoint does not count.

        Returns:
            pull (0 without a person) and push (0 without two).
        """
        pull, push = super().forward(tags, keypoint_indices)
        return pull / len(tags), push / len(tags)

    def _ae_loss_per_image(self, tags: Tensor, keypoint_indices: Tensor) -> tuple[Tensor, Tensor]:
        indices, visible = keypoint_indices[keypoint_indices[..., 1].any(dim=1)].unbind(dim=2)
        visible = visible > 0
        persons, keypoints = visible.shape
        maps = tags.reshape(-1, keypoints, tags.shape[1] * tags.shape[2])
        # An invisible keypoint may lie outside the map.
        at = indices.where(visible, torch.zeros_like(indices))
        values = maps[:, torch.arange(keypoints, device=tags.device), at]  # (L, N, K)

        weights = visible / visible.sum(dim=1, keepdim=True)  # (N, K)
        means = (values * weights).sum(dim=2)  # (L, N)
        variances = ((values - means[..., None]) ** 2 * weights).sum(dim=(0, 2))
        pull = variances.sum() / max(persons, 1)
        first, second = torch.triu_indices(persons, persons, 1, device=tags.device)
        distances = (means[:, first] - means[:, second]).square().sum(dim=0)  # one a pair
        push = torch.exp(-distances).sum() / max(len(first), 1)
        return pull, push
