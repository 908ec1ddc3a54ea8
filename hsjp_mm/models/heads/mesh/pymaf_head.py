"""The head of PyMAF: look again where the mesh of the last guess is."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmpose.models.heads import HeatmapHead
from torch import Tensor, nn

from hsjp_mm.models.heads.mesh.mesh_head import MeshHead, MeshPrediction, small_linear
from hsjp_mm.ops.farthest_points import farthest_points
from hsjp_mm.registry import MODELS

CHANNELS = (128, 64, 5)
"""Of a point's features, after each layer of the point network."""
GRID = 21
"""Points along each side of the grid that the first step looks at."""


@MODELS.register_module()
class PyMAFHead(MeshHead):
    """Pyramidal mesh alignment feedback.

    From `PyMAF: 3D Human Pose and Shape Regression with Pyramidal Mesh Alignment Feedback Loop
    <https://arxiv.org/abs/2103.16507>`_, section 3. Three deconvolutions make three maps, each
    twice as large as the one before. The first step reads the first map at a regular grid, each
    further one the next map where the vertices of the last guess project to. What is read goes
    through a small network of the points to five numbers each, and these with the last guess
    through two linear layers with dropout to a correction. Between the steps no gradient flows.
    Each guess is supervised.

    The vertices are chosen by farthest points, so that any body will do; the original's come from
    a downsampling of SMPL's mesh. Its auxiliary task, dense correspondences on the last map, is
    here the index of the part alone (``parts=True``): U and V need a file of SMPL's.

    With 2048 channels 21,453,030 parameters, and 57,625 for the parts.

    Args:
        in_channels: Of the last feature map.
        num_points: Vertices that are looked at.
        hidden_channels: Of both linear layers of a step.
        dropout: After each of the two.
        parts: Predict the part of the body at each cell of the last map, for a loss in training.
        num_joints, num_shape, num_keypoints, box_info, init_cfg: as of
            :class:`~hsjp_mm.models.MeshHead`.
        layers: further arguments of the stock HeatmapHead for the deconvolutions:
            ``deconv_out_channels``, ``deconv_kernel_sizes``; as many as there are steps.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.MeshEstimator',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.PyMAFHead', in_channels=2048),
        ...     loss=dict(type='hsjp_mm.MeshLoss', scale=1 / 60, parts=1 / 60),
        ... )
    """

    points: Tensor

    def __init__(
        self,
        in_channels: int,
        num_points: int = 431,
        hidden_channels: int = 1024,
        dropout: float = 0.5,
        parts: bool = True,
        num_joints: int = 24,
        num_shape: int = 10,
        num_keypoints: int = 22,
        box_info: bool = False,
        init_cfg: dict | list | None = None,
        **layers,
    ):
        super().__init__(num_joints, num_shape, num_keypoints, box_info, init_cfg)
        layers.setdefault('loss', dict(type='mmpose.KeypointMSELoss'))
        pyramid = HeatmapHead(in_channels, in_channels, final_layer=None, **layers)
        stages = _stages(list(pyramid.deconv_layers))
        self.deconvs = nn.ModuleList(stages)
        deconvs = (layer for stage in stages for layer in stage)
        channels = [d.out_channels for d in deconvs if isinstance(d, nn.ConvTranspose2d)]
        self.num_points = num_points
        looked_at = [GRID**2, *[num_points] * (len(channels) - 1)]
        self.point_networks = nn.ModuleList(PointNetwork(width) for width in channels)
        self.regressors = nn.ModuleList(
            nn.Sequential(
                nn.Linear(
                    number * CHANNELS[-1] + self.num_extra + sum(self.sizes), hidden_channels
                ),
                nn.Dropout(dropout),
                nn.Linear(hidden_channels, hidden_channels),
                nn.Dropout(dropout),
            )
            for number in looked_at
        )
        self.decoders = nn.ModuleList(
            small_linear(hidden_channels, sum(self.sizes)) for _ in channels
        )
        self.part_layer = None
        if parts:
            self.part_layer = nn.Conv2d(channels[-1], num_joints + 1, kernel_size=3, padding=1)
        line = torch.linspace(-1, 1, GRID)
        grid = torch.stack(torch.meshgrid(line, line, indexing='xy'), dim=-1).flatten(0, 1)
        self.register_buffer('grid', grid, persistent=False)
        self.register_buffer('points', torch.arange(num_points), persistent=False)

    def set_body(self, template: Tensor) -> None:
        """Choose the vertices that are looked at, of a body at rest (V, 3)."""
        self.points = farthest_points(template.cpu(), self.num_points).to(self.grid.device)

    def forward(
        self,
        feats: Sequence[Tensor],
        box_info: Tensor | None = None,
        project: Callable[[MeshPrediction], Tensor] | None = None,
    ) -> MeshPrediction:
        """Predict, see :meth:`MeshHead.forward`; the earlier guesses are in ``earlier``."""
        if project is None:
            raise ValueError('PyMAFHead looks where the mesh is, and project is not given')
        maps = feats[-1]
        guesses: list[MeshPrediction] = []
        state = self.means(len(maps))
        for step, deconv in enumerate(self.deconvs):
            maps = deconv(maps)
            if guesses:
                with torch.no_grad():
                    places = on_maps(project(guesses[-1])[:, self.points], maps)
            else:
                places = self.grid.expand(len(maps), -1, -1)
            read = self.point_networks[step](sample_maps(maps, places)).flatten(1)
            read = torch.cat([read, self.extra(read, box_info)], dim=1)
            state = self._correct(step, read, [part.detach() for part in state])
            guesses.append(self.prediction(*state))
        scores = None if self.part_layer is None else self.part_layer(maps).float()
        return guesses[-1]._replace(part_scores=scores, earlier=tuple(guesses[:-1]))

    def _correct(self, step: int, read: Tensor, state: list[Tensor]) -> list[Tensor]:
        hidden = self.regressors[step](torch.cat([read, *(part.to(read) for part in state)], dim=1))
        changes = self.decoders[step](hidden).float().split(self.sizes, dim=1)
        return [before + change for before, change in zip(state, changes, strict=True)]


class PointNetwork(nn.Module):
    """Three layers that every point goes through alone; each sees the point's features anew.

    Args:
        channels: Of the features of a point.
    """

    def __init__(self, channels: int):
        super().__init__()
        inputs = (channels, *(width + channels for width in CHANNELS[:-1]))
        self.layers = nn.ModuleList(map(nn.Linear, inputs, CHANNELS))

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, C) to (B, N, 5)."""
        hidden = features.new_zeros(*features.shape[:2], 0)
        for layer in self.layers[:-1]:
            hidden = F.leaky_relu(layer(torch.cat([hidden, features], dim=2)))
        return F.relu(self.layers[-1](torch.cat([hidden, features], dim=2)))


def sample_maps(maps: Tensor, places: Tensor) -> Tensor:
    """Read maps (B, C, h, w) between their cells.

    Args:
        maps: The centers of their first and last cells are at −1 and 1, as in the original.
        places: (B, N, 2), from −1 to 1 on the maps; beside them is 0.

    Returns:
        (B, N, C).
    """
    found = F.grid_sample(maps, places[:, None].to(maps), align_corners=True)
    return found.squeeze(2).mT


def on_maps(places: Tensor, maps: Tensor) -> Tensor:
    """Bring places from the square crop about an input to its maps (B, C, h, w).

    Args:
        places: (B, N, 2), from −1 to 1 on the crop.
        maps: Of the input, which is the middle of the crop and may be narrower.

    Returns:
        (B, N, 2), from −1 to 1 on the maps, which are as wide as the crop where they are square.
    """
    height, width = maps.shape[2:]
    longer = max(height, width)
    sides = places.new_tensor([max(width - 1, 1), max(height - 1, 1)])
    return places * (max(longer - 1, 1) / sides)


def _stages(layers: Sequence[nn.Module]) -> list[nn.Sequential]:
    """Cut the stock head's deconvolutions, each with what follows it."""
    starts = [i for i, layer in enumerate(layers) if isinstance(layer, nn.ConvTranspose2d)]
    ends = [*starts[1:], len(layers)]
    return [nn.Sequential(*layers[a:b]) for a, b in zip(starts, ends, strict=True)]
