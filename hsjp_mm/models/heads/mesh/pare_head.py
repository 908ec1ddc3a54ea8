"""The head of PARE: each joint looks at the image where its part of the body is."""

from collections.abc import Callable, Sequence

import torch
from mmpose.models.heads import HeatmapHead
from torch import Tensor, nn

from hsjp_mm.models.heads.mesh.mesh_head import MeshHead, MeshPrediction, small_linear
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class PAREHead(MeshHead):
    """Part attention regression.

    From `PARE: Part Attention Regressor for 3D Human Body Estimation
    <https://arxiv.org/abs/2104.08527>`_, section 3.2, equations 1 and 2. Two branches of the same
    layers make one map of scores for each part of the body and the background, and one of
    features. The scores of a part, after a softmax over the places of the map, weigh the features
    that its joint's rotation is read from; shape and camera are read from those of all parts
    together, thinned to 64 channels. Where part labels train the scores (see
    :class:`~hsjp_mm.models.MeshLoss`) they find the parts; later, attention alone moves them.
    21,054,310 parameters for 2048 channels.

    The branches are those of the stock HeatmapHead, so that deconvolutions (for ResNets) and
    convolutions (for maps that are large enough, such as HRNet's) are given as there, and have the
    names of stock 2D poses in a checkpoint.

    PARE's code adds no mean to what it reads, and begins with random rotations. Here all begin near
    the mean parameters, so that no person is infinitely far away at first.

    Args:
        in_channels: Of the last feature map.
        thin_channels: Of the features that shape and camera are read from.
        num_joints, num_shape, num_keypoints, box_info, init_cfg: as of
            :class:`~hsjp_mm.models.MeshHead`.
        layers: further arguments of the stock head, for both branches:
            ``deconv_out_channels``, ``deconv_kernel_sizes``, ``conv_out_channels``,
            ``conv_kernel_sizes``.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.MeshEstimator',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.PAREHead', in_channels=2048),
        ... )
        >>> hrnet_head = dict(
        ...     type='hsjp_mm.PAREHead', in_channels=480, deconv_out_channels=None,
        ...     conv_out_channels=(128, 128), conv_kernel_sizes=(3, 3),
        ... )
    """

    tells_parts = True

    def __init__(
        self,
        in_channels: int,
        thin_channels: int = 64,
        num_joints: int = 24,
        num_shape: int = 10,
        num_keypoints: int = 22,
        box_info: bool = False,
        init_cfg: dict | list | None = None,
        **layers,
    ):
        super().__init__(num_joints, num_shape, num_keypoints, box_info, init_cfg)
        # with the scope, for a config of another host does not find MMPose's names without
        layers.setdefault('loss', dict(type='mmpose.KeypointMSELoss'))
        self.part_branch = HeatmapHead(in_channels, num_joints + 1, **layers)
        channels = self.part_branch.final_layer.in_channels
        self.feature_branch = HeatmapHead(in_channels, channels, final_layer=None, **layers)
        self.thin = nn.Conv2d(channels, thin_channels, kernel_size=1)
        # one linear layer for each joint, without bias
        self.pose = nn.Parameter(torch.empty(num_joints, channels + self.num_extra, 6))
        nn.init.normal_(self.pose, std=0.01)
        together = num_joints * thin_channels + self.num_extra
        self.shape = small_linear(together, num_shape)
        self.camera = small_linear(together, 3)

    def forward(
        self,
        feats: Sequence[Tensor],
        box_info: Tensor | None = None,
        project: Callable[[MeshPrediction], Tensor] | None = None,
    ) -> MeshPrediction:
        """Predict, see :meth:`MeshHead.forward`."""
        scores = self.part_branch(feats)
        features = self.feature_branch(feats)
        attention = part_attention(scores).flatten(2)
        of_joints = attention @ features.flatten(2).mT.to(attention)
        thin = attention @ self.thin(features).flatten(2).mT.to(attention)
        extra = self.extra(thin, box_info)
        each = extra[:, None].expand(-1, self.num_joints, -1)
        turns = torch.einsum('bjc,jcd->bjd', torch.cat([of_joints, each], dim=2), self.pose)
        thin = torch.cat([thin.flatten(1), extra], dim=1)
        found = turns.flatten(1), self.shape(thin), self.camera(thin)
        pose, shape, camera = (
            mean + add for mean, add in zip(self.means(len(thin)), found, strict=True)
        )
        return self.prediction(pose, shape, camera, scores)


def part_attention(scores: Tensor) -> Tensor:
    """Where each joint looks.

    Args:
        scores: (B, J + 1, h, w), the background first.

    Returns:
        (B, J, h, w), the sum over the map is 1 for each joint; the background is left out.
    """
    parts = scores[:, 1:].float()
    return parts.flatten(2).softmax(dim=2).unflatten(2, parts.shape[2:])
