"""The head of Pose2Pose: find the joints in 3D first, then read rotations where they are."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hsjp_mm.models.heads.mesh.mesh_head import MeshHead, MeshPrediction, small_linear
from hsjp_mm.models.heads.mesh.pymaf_head import sample_maps
from hsjp_mm.ops.soft_argmax import cells_to_crop, crop_limits, soft_argmax
from hsjp_mm.registry import MODELS

DEPTH = 8
"""Cells of the volume along z."""
REACH = 1.0
"""Meters from the root, to the front and to the back, that the volume is deep."""
SPAN = 2.5
"""Meters that the input is wide and high for a person at the camera's largest distance."""
HANDS = 2
"""The last joints of the body, which are not predicted."""


@MODELS.register_module()
class Pose2PoseHead(MeshHead):
    """Joints by soft-argmax in a volume, and rotations from the features at these joints.

    The body network of `Accurate 3D Hand Pose Estimation for Whole-Body 3D Human Mesh Estimation
    <https://arxiv.org/abs/2011.11534>`_ (Pose2Pose), without VPoser, as the study of pretraining
    has it. A 1×1 convolution makes a volume of scores for each keypoint, eight cells deep; the mean
    place by its softmax is the keypoint. Features, thinned to 512 channels, are read at these
    places, and together with the places go through one linear layer to the root's rotation and
    another one to those of the other joints. Hands are not turned. Shape and camera are read from
    the averaged map. Where the keypoints are learns from their own labels alone: no gradient of
    the rotations reaches it.

    The original begins with random rotations; here, as in the other heads, with the mean ones.

    With ResNet-50 and 25 keypoints 26,694,213 parameters.

    Args:
        in_channels: Of the last feature map.
        thin_channels: Of the features that rotations are read from.
        num_joints, num_shape, num_keypoints, box_info, init_cfg: as of
            :class:`~hsjp_mm.models.MeshHead`.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.MeshEstimator',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.Pose2PoseHead', in_channels=2048),
        ...     loss=dict(type='hsjp_mm.Pose2PoseLoss'),
        ... )
    """

    def __init__(
        self,
        in_channels: int,
        thin_channels: int = 512,
        num_joints: int = 24,
        num_shape: int = 10,
        num_keypoints: int = 22,
        box_info: bool = False,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(num_joints, num_shape, num_keypoints, box_info, init_cfg)
        self.volume = nn.Conv2d(in_channels, num_keypoints * DEPTH, kernel_size=1)
        self.thin = nn.Sequential(
            nn.Conv2d(in_channels, thin_channels, kernel_size=1),
            nn.BatchNorm2d(thin_channels),
            nn.ReLU(inplace=True),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.normal_(layer.weight, std=0.001)
                nn.init.zeros_(layer.bias)
        together = num_keypoints * (thin_channels + 3) + self.num_extra
        self.root = small_linear(together, 6)
        self.pose = small_linear(together, 6 * (num_joints - 1 - HANDS))
        self.shape = small_linear(in_channels + self.num_extra, num_shape)
        self.camera = small_linear(in_channels + self.num_extra, 3)

    def forward(
        self,
        feats: Sequence[Tensor],
        box_info: Tensor | None = None,
        project: Callable[[MeshPrediction], Tensor] | None = None,
    ) -> MeshPrediction:
        """Predict, see :meth:`MeshHead.forward`."""
        maps = feats[-1]
        height, width = maps.shape[2:]
        scores = self.volume(maps).unflatten(1, (self.num_keypoints, DEPTH))
        cells = soft_argmax(scores.float())  # (B, K, 3), (x, y, z) in cells
        last = cells.new_tensor([max(width - 1, 1), max(height - 1, 1)])
        read = sample_maps(self.thin(maps), cells[..., :2].detach() / last * 2 - 1)
        extra = self.extra(maps, box_info)
        together = torch.cat([read, cells.detach().to(read)], dim=2).flatten(1)
        together = torch.cat([together, extra], dim=1)
        pooled = torch.cat([maps.mean(dim=(2, 3)), extra], dim=1)
        pose, shape, _ = self.means(len(maps))
        hands = pose.new_zeros(len(maps), 6 * HANDS)
        turns = torch.cat([self.root(together).float(), self.pose(together).float(), hands], dim=1)
        ratio = min(height, width) / max(height, width)
        camera = weak_of(self.camera(pooled).float(), ratio)
        found = self.prediction(pose + turns, shape + self.shape(pooled).float(), camera)
        size = (width, height, DEPTH)
        limits = crop_limits(cells, (width, height), REACH)
        return found._replace(places=cells_to_crop(cells, size, REACH), limits=limits)


def weak_of(camera: Tensor, ratio: float) -> Tensor:
    """Weak perspective (s, x, y) of Pose2Pose's camera.

    Its numbers are x and y in meters, and a depth that a sigmoid keeps from 0 to that at which
    2.5 m by 2.5 m are as large as the input. For weak perspective that is a scale, and needs no
    focal length.

    Args:
        camera: (B, 3).
        ratio: of the input's shorter to its longer side.
    """
    scale = 2 * math.sqrt(ratio) / (SPAN * camera[:, 2:].sigmoid().clamp(min=1e-4))
    return torch.cat([scale, camera[:, :2]], dim=1)
