"""I2L-MeshNet: the vertices of a body, each found in the image by itself.

Letters: B batch, K joints of the set, J joints of the body, V vertices, C channels; w, h and d
cells of the volume along x, y and z.
"""

from collections.abc import Sequence

import torch
from mmengine.model import normal_init
from mmpose.models.backbones import ResNet
from torch import Tensor, nn

from hsjp_mm.models.body_models import Body, BodyModel
from hsjp_mm.models.heads.mesh.lixel_head import REACH
from hsjp_mm.models.losses.lixel_loss import LixelPrediction
from hsjp_mm.models.losses.mesh_loss import from_hips
from hsjp_mm.models.pose_estimators.mesh_estimator import (
    BodyEstimator,
    Views,
    collect_targets,
    collect_views,
    mean_distance,
)
from hsjp_mm.ops.cameras import NEAREST, project
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.ops.soft_argmax import cells_to_crop, crop_limits
from hsjp_mm.registry import MODELS

STRIDE = 32
"""Pixels of the input to a cell of a ResNet's last map."""
SIGMA = 2.5
"""Of the Gaussians in the volume, in cells."""
ROOT_DEPTHS = {'box': 'root depth guessed from the box', 'label': 'root depth of the labels'}


@MODELS.register_module()
class I2LMeshNet(BodyEstimator):
    """Find joints, then the vertices of the mesh, by heat maps along the axes of the crop.

    The lixel stage of `I2L-MeshNet <https://arxiv.org/abs/2008.03713>`_. A ResNet and a
    :class:`~hsjp_mm.models.LixelHead` (PoseNet) find joints. These, as Gaussians in a volume, and
    the stem's features of the first ResNet go through a convolution into the layers of a second
    ResNet, with a second head (MeshNet) for the vertices. No gradient flows back through the
    Gaussians. Both ResNets are built from one config and start from the same checkpoint; the stem
    of the second is never run, and frozen.

    With ResNet-50, 29 joints and 6,890 vertices 141,638,485 parameters, the idle stem's 9,536
    among them.

    Rotations and shape are not known. A :class:`~hsjp_mm.models.BodyModel` takes keypoints from
    vertices and from its own joints, so that PoseNet finds the K joints of the set and the J of the
    body; results have J from PoseNet, and K from the mesh and, where the body's regressor looks at
    them, from those J. The original's body needs the vertices alone, and its 29 joints are one set.

    The network says depths from the middle of the hips. How far away that is comes from
    elsewhere, and what results are named by (``pred_body``) says from where.

    Only labelled poses with shapes of the model's own body train the mesh. Poses of SMPL have none
    for the free body: of them only the joints that are taken from the mesh would learn.

    Args:
        backbone: A ResNet, or what is derived of it, whose last map has a stride of 32.
        head: A LixelHead, for both.
        body, joint_set: as of :class:`~hsjp_mm.models.MeshEstimator`.
        loss: The losses, :class:`~hsjp_mm.models.LixelLoss`.
        train_cfg, data_preprocessor, init_cfg, metainfo: as in stock.
        test_cfg: ``root_depth='label'`` takes the depth of the hips from the labelled pose and
            translation, as the original is measured, and from the box where a person has none;
            with ``'box'`` (the default) the crop's side is 2 m in all. There is no ``flip_test``: a
            mesh has no known order of its mirrored vertices. ``joint_set`` of the results is by
            default that of the labels.

    Raises:
        ValueError: A backbone that is no ResNet, another ``root_depth``, ``flip_test``, or an input
            whose sides are no multiples of 32.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.I2LMeshNet',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.LixelHead', in_channels=2048),
        ...     body=dict(type='hsjp_mm.BodyModel', file='free'),
        ...     test_cfg=dict(root_depth='label'),
        ... )
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        body: dict | None = None,
        joint_set: str = 'mesh_22',
        loss: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
        metainfo: dict | None = None,
    ):
        test_cfg = test_cfg or {}
        if test_cfg.get('flip_test', False):
            raise ValueError('flip_test=True must be False: a mesh has no mirrored order')
        root_depth = test_cfg.get('root_depth', 'box')
        if root_depth not in ROOT_DEPTHS:
            raise ValueError(f'root_depth={root_depth!r} must be one of {", ".join(ROOT_DEPTHS)}')
        super().__init__(
            head,
            body,
            joint_set,
            backbone=backbone,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            metainfo=metainfo,
        )
        if not isinstance(self.backbone, ResNet):
            raise ValueError(f'backbone={backbone.get("type")!r} must be a ResNet of MMPose')
        self.root_depth = root_depth
        points = self.tell_head(self.body, joint_names(joint_set))['num_points']
        self.mesh_backbone = MODELS.build(backbone)
        second = self.mesh_backbone
        for layer in [second.stem] if second.deep_stem else [second.conv1, second.norm1]:
            layer.requires_grad_(False)
        self.mesh_head = MODELS.build({**head, 'num_points': self.body.num_vertices})
        self.fusion = Fusion(points * self.head.depth, self.backbone.stem_channels)
        self.loss_module = MODELS.build(loss or dict(type='hsjp_mm.LixelLoss'))

    @staticmethod
    def tell_head(body: BodyModel, names: Sequence[str]) -> dict[str, int]:
        """The number of points that PoseNet finds."""
        return {'num_points': len(names) + body.num_joints}

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Compute the losses of crops (B, 3, H, W).

        Returns:
            Those of :class:`~hsjp_mm.models.LixelLoss`; and to be watched, ``mpjpe``, the mean
            distance of joints from the hips' middle in millimeters over what this batch knows.

        Raises:
            ValueError: A batch of one.
        """
        if len(inputs) == 1:
            raise ValueError(
                'a batch of 1 crop cannot train I2LMeshNet, whose LixelHead normalizes over the '
                'batch: take a larger train_dataloader.batch_size, and drop_last=True'
            )
        views = collect_views(data_samples, inputs.device)
        prediction = self.regress(inputs)
        targets = self.with_body(collect_targets(data_samples, inputs), views)
        losses = self.loss_module(prediction, targets, self.hips, self.body.faces)
        with torch.no_grad():
            roots, _ = self.root_depths(data_samples, views)
            body = self.before_camera(prediction, views, roots)
            joints = self.body.keypoints(body, self.joint_set)
            losses['mpjpe'] = 1000 * mean_distance(joints, targets, self.hips)
        return losses

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Recover the bodies of crops (B, 3, H, W).

        Adds ``pred_instances`` of length 1 to each data sample: ``translation`` (1, 3), where in
        the frame of the image's camera the middle of the hips is; from there ``vertices``
        (1, V, 3), ``joints24`` (1, J, 3) and ``joints`` (1, K, 3); ``keypoints`` (1, K, 2) in
        pixels of the image, their ``keypoint_scores`` of 1, and the box.
        """
        views = collect_views(data_samples, inputs.device)
        roots, ways = self.root_depths(data_samples, views)
        body = self.before_camera(self.regress(inputs), views, roots)
        joints = self.body.keypoints(body, self.output_set)
        translation = joints[:, self.output_hips].mean(dim=1)
        found = {
            'translation': translation,
            'vertices': body.vertices - translation[:, None],
            'joints24': body.joints - translation[:, None],
            'joints': from_hips(joints, self.output_hips),
        }
        keypoints = project(joints, views.focal, views.principal)
        named = [f'{self.named}, {ROOT_DEPTHS[way]}' for way in ways]
        return self.pack(data_samples, found, keypoints, named)

    def regress(self, inputs: Tensor) -> LixelPrediction:
        """Run the network on crops (B, 3, H, W)."""
        height, width = inputs.shape[2:]
        if height % STRIDE or width % STRIDE:
            raise ValueError(
                f'the input of {width}×{height} pixels must have sides of multiples of {STRIDE}'
            )
        stem = run_stem(self.backbone, inputs)
        cells = self.head(run_layers(self.backbone, stem))
        size = (stem.shape[3], stem.shape[2], self.head.depth)
        volume = gaussian_volume(cells.detach(), size).flatten(1, 2)
        fused = self.fusion(torch.cat([stem, volume.to(stem)], dim=1))
        mesh = self.mesh_head(run_layers(self.mesh_backbone, fused))
        points = cells_to_crop(cells, size, REACH)
        vertices = cells_to_crop(mesh, size, REACH)
        joints, joints24 = points.tensor_split([points.shape[1] - self.body.num_joints], dim=1)
        mesh_joints = self.body.keypoints(Body(vertices, joints24), self.joint_set)
        limits = crop_limits(points, (width, height), REACH)
        return LixelPrediction(joints, joints24, vertices, mesh_joints, limits)

    def root_depths(self, data_samples: list, views: Views) -> tuple[Tensor, list[str]]:
        """How far away the middle of the hips is, (B,) in meters, and from where that is known."""
        depths = views.focal * 2 * REACH / views.crops[:, 2]
        ways = ['box'] * len(data_samples)
        if self.root_depth == 'box':
            return depths, ways
        for i, sample in enumerate(data_samples):
            truth = sample.gt_instances
            if all(
                name in truth and bool(truth.get(name).all())
                for name in ('has_pose', 'has_translation')
            ):
                shape = truth.shape * truth.has_shape[:, None]  # else the mean one
                values = (truth.rotations, shape, truth.translation)
                body = self.body(*(value.to(depths.device, torch.float32) for value in values))
                joints = self.body.keypoints(body, self.joint_set)
                depths[i] = joints[0, self.hips, 2].mean()
                ways[i] = 'label'
        return depths, ways

    def before_camera(self, prediction: LixelPrediction, views: Views, roots: Tensor) -> Body:
        """The vertices and joints in the frame of the image's camera, in meters.

        Args:
            prediction: Of the network.
            views: Where the crops are.
            roots: (B,), the depths of the hips' middle.
        """

        def back(places: Tensor) -> Tensor:
            pixels = views.crops[:, None, :2] + views.crops[:, None, 2:] / 2 * places[..., :2]
            depths = roots[:, None, None]
            depths = (depths + places[..., 2:]).clamp(min=NEAREST * depths)
            rays = (pixels - views.principal[:, None]) / views.focal[:, None, None]
            return torch.cat([rays * depths, depths], dim=2)

        return Body(back(prediction.vertices), back(prediction.joints24))

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> tuple[Tensor, ...]:
        """Mode ``'tensor'``: joints, joints of the body, and vertices on the crop."""
        return self.regress(inputs)[:3]


class Fusion(nn.Sequential):
    """What the second ResNet begins with: one layer over stem features and Gaussians.

    Args:
        num_gaussians: Channels of the volume.
        channels: Of the stem's features, and of the result.
    """

    def __init__(self, num_gaussians: int, channels: int):
        layer = nn.Conv2d(channels + num_gaussians, channels, kernel_size=3, padding=1)
        normal_init(layer, std=0.001)
        super().__init__(layer, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def run_stem(resnet: ResNet, images: Tensor) -> Tensor:
    """The features before the first layer of blocks, of a quarter of the input."""
    if resnet.deep_stem:
        return resnet.maxpool(resnet.stem(images))
    return resnet.maxpool(resnet.relu(resnet.norm1(resnet.conv1(images))))


def run_layers(resnet: ResNet, maps: Tensor) -> tuple[Tensor]:
    """The last map, from what comes after the stem."""
    for name in resnet.res_layers:
        maps = getattr(resnet, name)(maps)
    return (maps,)


def gaussian_volume(cells: Tensor, size: Sequence[int]) -> Tensor:
    """A Gaussian of height 1 about each joint.

    Args:
        cells: (B, N, 3), (x, y, z).
        size: (w, h, d).

    Returns:
        (B, N, d, h, w).
    """
    x, y, z = (
        torch.exp(-(torch.arange(length, device=cells.device) - center).square() / (2 * SIGMA**2))
        for length, center in zip(size, cells.split(1, dim=2), strict=True)
    )
    return z[:, :, :, None, None] * y[:, :, None, :, None] * x[:, :, None, None, :]
