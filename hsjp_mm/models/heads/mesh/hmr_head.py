"""The head of HMR and SPIN: correct a guess a few times from the pooled features."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hsjp_mm.models.heads.mesh.mesh_head import MeshHead, MeshPrediction, small_linear
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class HMRHead(MeshHead):
    """Iterative regression from averaged features.

    From `End-to-end Recovery of Human Shape and Pose <https://arxiv.org/abs/1712.06584>`_, section
    3.2, with the 6D rotations of `SPIN <https://arxiv.org/abs/1909.12828>`_: features, pose, shape
    and camera go through two linear layers with dropout and nothing else between them, and what
    comes out is added to pose, shape and camera; the first guess is the mean. Only the last guess
    is supervised. 3,469,469 parameters for 2048 channels.

    Args:
        in_channels: Of the last feature map.
        hidden_channels: Of both linear layers.
        num_iterations: How often the guess is corrected.
        dropout: After each of the two layers.
        num_joints, num_shape, num_keypoints, box_info, init_cfg: as of
            :class:`~hsjp_mm.models.MeshHead`.

    Raises:
        ValueError: ``num_iterations`` below 1.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.MeshEstimator',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.HMRHead', in_channels=2048),
        ... )
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 1024,
        num_iterations: int = 3,
        dropout: float = 0.5,
        num_joints: int = 24,
        num_shape: int = 10,
        num_keypoints: int = 22,
        box_info: bool = False,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(num_joints, num_shape, num_keypoints, box_info, init_cfg)
        if num_iterations < 1:
            raise ValueError(f'num_iterations={num_iterations} must be at least 1')
        self.num_iterations = num_iterations
        self.regressor = nn.Sequential(
            nn.Linear(in_channels + self.num_extra + sum(self.sizes), hidden_channels),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, hidden_channels),
            nn.Dropout(dropout),
        )
        self.decoders = nn.ModuleList(small_linear(hidden_channels, size) for size in self.sizes)

    def forward(
        self,
        feats: Sequence[Tensor],
        box_info: Tensor | None = None,
        project: Callable[[MeshPrediction], Tensor] | None = None,
    ) -> MeshPrediction:
        """Predict, see :meth:`MeshHead.forward`."""
        features = feats[-1].mean(dim=(2, 3))
        features = torch.cat([features, self.extra(features, box_info)], dim=1)
        state = self.means(len(features))
        for _ in range(self.num_iterations):
            hidden = self.regressor(torch.cat([features, *state], dim=1))
            state = [
                before + decoder(hidden).float()
                for before, decoder in zip(state, self.decoders, strict=True)
            ]
        return self.prediction(*state)
