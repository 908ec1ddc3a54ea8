"""The head of I2L-MeshNet: a heat map along each axis for every point, of a pose or of a mesh.

Letters: B batch, N points; w, h and d cells along x, y and z.
"""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmpose.models.heads import HeatmapHead
from torch import Tensor, cat, nn

from hsjp_mm.ops.soft_argmax import soft_argmax
from hsjp_mm.registry import MODELS

REACH = 1.0
"""Meters from the hips' middle, to the front and to the back, that the volume is deep."""


@MODELS.register_module()
class LixelHead(BaseModule):
    """Three coordinates of each point from three heat maps of one dimension.

    PoseNet and MeshNet of `I2L-MeshNet: Image-to-Lixel Prediction Network for Accurate 3D Human
    Pose and Mesh Estimation from a Single RGB Image <https://arxiv.org/abs/2008.03713>`_, section
    3, which differ in their number of points. Three deconvolutions make a map of a quarter of the
    input; its mean over the rows gives the features along x, that over the columns those along y.
    Those along z are made of the averaged input map by one layer. A 1×1 convolution for each axis
    makes the scores of the cells, and the mean place by their softmax is the coordinate.

    With 2048 channels 44,090,880 parameters, and 771 for each point.

    Args:
        in_channels: Of the last feature map.
        num_points: N; given by :class:`~hsjp_mm.models.I2LMeshNet`.
        depth: Cells along z; along x and y there are as many as the map has.
        init_cfg: as in stock.
        layers: further arguments of the stock HeatmapHead for the deconvolutions:
            ``deconv_out_channels``, ``deconv_kernel_sizes``.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.I2LMeshNet',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.LixelHead', in_channels=2048),
        ... )
    """

    def __init__(
        self,
        in_channels: int,
        num_points: int = 46,
        depth: int = 64,
        init_cfg: dict | list | None = None,
        **layers,
    ):
        super().__init__(init_cfg)
        # with the scope, for a config of another host does not find MMPose's names without
        layers.setdefault('loss', dict(type='mmpose.KeypointMSELoss'))
        self.across = HeatmapHead(in_channels, num_points, final_layer=None, **layers)
        deconvs = [d for d in self.across.deconv_layers if isinstance(d, nn.ConvTranspose2d)]
        channels = deconvs[-1].out_channels
        self.depth = depth
        self.along = nn.Sequential(
            nn.Linear(in_channels, channels * depth),
            nn.BatchNorm1d(channels * depth),
            nn.ReLU(inplace=True),
        )
        self.scores = nn.ModuleDict(
            {axis: nn.Conv1d(channels, num_points, kernel_size=1) for axis in 'xyz'}
        )

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Find the points.

        Args:
            feats: Maps of the backbone, of which the last one is taken.

        Returns:
            (B, N, 3), (x, y, z) in cells, in single precision.
        """
        maps = self.across(feats)
        features = {
            'x': maps.mean(dim=2),
            'y': maps.mean(dim=3),
            'z': self.along(feats[-1].mean(dim=(2, 3))).unflatten(1, (-1, self.depth)),
        }
        cells = [soft_argmax(self.scores[axis](features[axis]).float()) for axis in 'xyz']
        return cat(cells, dim=2)
