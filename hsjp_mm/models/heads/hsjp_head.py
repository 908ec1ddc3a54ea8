"""The head of Heatmap-Style Jigsaw Puzzles: targets, loss and peaks.

Letters: B batch, N patches along a side, K = N²; h and w height and width of a heat map.
"""

from collections.abc import Sequence

import torch
from mmpose.models.heads import HeatmapHead
from torch import Tensor

from hsjp_mm.ops.patches import gaussian_maps, peaks
from hsjp_mm.registry import MODELS

STRIDE = 4
"""Input pixels to a heat-map cell, as in every top-down network that the paper names."""


@MODELS.register_module()
class HSJPHead(HeatmapHead):
    """Predict one heat map for each patch, at the place where the patch now lies.

    Sections 3.1 and 3.3 of `Learning Heatmap-Style Jigsaw Puzzles Provides Good Pretraining for
    2D Human Pose Estimation <https://arxiv.org/abs/2012.07101>`_. The layers are those of the
    stock head; the stock ``KeypointMSELoss`` with target weights is the paper's equation (2),
    for it averages over masked channels too.

    Args:
        in_channels: as in the stock head.
        grid: N; given by :class:`~hsjp_mm.models.HSJP`.
        input_size: (width, height) of the network's input in pixels; given by HSJP.
        sigma: standard deviation of the targets in heat-map cells. Default: 9/N for 224 pixels,
            in proportion for other sizes.
        layers: further arguments of the stock head (deconvolutions, loss, ...).

    Raises:
        ValueError: ``sigma`` is not positive or not below a sixth of a patch side.

    Examples:
        The grid and the input's size are the model's:

        >>> head = dict(type='hsjp_mm.HSJPHead', in_channels=2048)
        >>> model = dict(
        ...     type='hsjp_mm.HSJP', grid=4, backbone=dict(type='ResNet', depth=50), head=head
        ... )
    """

    def __init__(
        self,
        in_channels: int,
        grid: int,
        input_size: tuple[int, int] = (224, 224),
        sigma: float | None = None,
        **layers,
    ):
        # with the scope, for MMDetection's configs do not find MMPose's names without
        layers.setdefault('loss', dict(type='mmpose.KeypointMSELoss', use_target_weight=True))
        super().__init__(in_channels, grid**2, **layers)
        self.grid = grid
        self.input_size = tuple(input_size)
        patch_side = min(input_size) / grid
        bound = patch_side / 6 / STRIDE
        self.sigma = sigma if sigma is not None else 9 / grid * min(input_size) / 224
        if not 0 < self.sigma < bound:
            raise ValueError(
                f'sigma={sigma} heat-map cells must be positive and below {bound:.4f}: the paper '
                f'asks for less than a sixth of a patch side, {patch_side:.2f} / 6 input pixels '
                f'for grid={grid} and input_size={tuple(input_size)}, {STRIDE} pixels to a cell'
            )
        self.radius = patch_side / 2

    def targets(self, centers: Tensor) -> tuple[Tensor, Tensor]:
        """Make the Gaussians of equation (1) and the mask of equation (2).

        Args:
            centers: (B, K, 2), (x, y) in input pixels.

        Returns:
            (B, K, h, w) heat maps, and (B, K), 1 where the center lies inside the input, else 0.
        """
        width, height = self.input_size
        maps = gaussian_maps(centers / STRIDE, (height // STRIDE, width // STRIDE), self.sigma)
        limits = centers.new_tensor([width, height])
        inside = ((centers >= 0) & (centers < limits)).all(dim=2)
        return maps, inside.to(centers.dtype)

    def loss(self, feats, centers: Tensor) -> dict[str, Tensor]:
        """Compute equation (2), and two numbers that tell whether anything is learnt.

        Args:
            feats: feature maps of the backbone, as for the stock head.
            centers: (B, K, 2) centers of the original patches, (x, y) in input pixels.

        Returns:
            ``loss_puzzle``; ``placed``, the share of patches inside the input whose peak lies
            within half a patch side of the center (chance: 1/K); ``peak``, the mean height of
            the predicted peaks (near 0: collapsed or still on the plateau; targets have 1).
        """
        return self._losses([self.forward(feats)], centers)

    def _losses(self, stacks: Sequence[Tensor], centers: Tensor) -> dict[str, Tensor]:
        """Sum the loss over the maps (B, K, h, w) of one or more stacks; measure the last."""
        targets, inside = self.targets(centers)
        stacks = [heatmaps.float() for heatmaps in stacks]
        for heatmaps in stacks:
            if heatmaps.shape != targets.shape:
                raise ValueError(
                    f'the head predicts maps of shape {tuple(heatmaps.shape)}, the targets have '
                    f'{tuple(targets.shape)}: backbone, neck and deconvolutions must come to a '
                    f'stride of {STRIDE}, and input_size={self.input_size} must have sides that '
                    "the backbone's own stride divides, 32 for most"
                )
        losses = [self.loss_module(heatmaps, targets, inside) for heatmaps in stacks]
        found, height = peaks(stacks[-1].detach())
        near = (found * STRIDE - centers).norm(dim=2) < self.radius
        return {
            'loss_puzzle': torch.stack(losses).sum(),
            'placed': (near * inside).sum() / inside.sum().clamp(min=1),
            'peak': height.mean(),
        }

    @torch.no_grad()
    def predict(self, feats):
        """Find the peaks.

        Returns:
            (B, K, 2) points (x, y) in input pixels, (B, K) heights, and (B, K, h, w) heat maps.
        """
        heatmaps = self.forward(feats).float()
        found, height = peaks(heatmaps)
        return found * STRIDE, height, heatmaps


@MODELS.register_module()
class HSJPStackHead(HSJPHead):
    """The puzzle for a backbone of stacks that predicts the maps itself, such as PBN's.

    Equation (2) is summed over the stacks, as the stock ``CPMHead`` does; the last one solves the
    puzzle. There are no parameters, and no loss but the paper's to choose.

    Args:
        grid, input_size, sigma: as in :class:`HSJPHead`.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.HSJP',
        ...     input_size=(256, 256),
        ...     backbone=dict(type='hsjp_mm.PartBranchHourglass', num_stacks=3),
        ...     head=dict(type='hsjp_mm.HSJPStackHead'),
        ... )
    """

    def __init__(
        self, grid: int, input_size: tuple[int, int] = (224, 224), sigma: float | None = None
    ):
        super().__init__(
            grid**2, grid, input_size, sigma, deconv_out_channels=None, final_layer=None
        )

    def loss(self, feats, centers: Tensor) -> dict[str, Tensor]:
        """Compute what :class:`HSJPHead` does, ``loss_puzzle`` summed over the stacks.

        Args:
            feats: the maps (B, K, h, w) of the stacks, the last of which tells the measures.
            centers: (B, K, 2), (x, y) in input pixels.
        """
        return self._losses([self.forward((maps,)) for maps in feats], centers)
