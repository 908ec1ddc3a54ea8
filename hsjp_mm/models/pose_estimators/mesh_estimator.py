"""Mesh recovery: from the crop of a person to a body in 3D.

Letters: B batch, K joints of the set, J joints of the body, S shape components, V vertices, H and
W height and width of the input. Crops and cameras as in :mod:`~hsjp_mm.ops.cameras`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from torch import Tensor

from hsjp_mm.datasets.mesh import MeshDataset
from hsjp_mm.datasets.transforms.part_maps import RenderPartMap
from hsjp_mm.datasets.transforms.pipelines import find_datasets, find_transforms
from hsjp_mm.models.body_models import BodyModel
from hsjp_mm.models.heads.mesh import MeshPrediction
from hsjp_mm.models.heads.mesh.pare_head import part_attention
from hsjp_mm.models.losses.mesh_loss import LabelledBody, MeshTargets, from_hips
from hsjp_mm.ops.cameras import (
    FOCAL,
    crop_projection,
    crop_to_image,
    fit_translation,
    guess_camera,
    image_to_crop,
    input_to_crop,
    project,
    weak_to_translation,
)
from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices
from hsjp_mm.ops.part_labels import IGNORED
from hsjp_mm.ops.rotations import mirror_rotations, nearest_rotation
from hsjp_mm.registry import MODELS

SIDE = 224.0
"""Pixels of the crop for which HMR, SPIN and PARE assume the focal length FOCAL."""
SMALLEST_DEPTH = 0.1
"""Meters before the camera, from which on a labelled body counts as seen."""
SMALLEST_SCALE = 1e-2
"""Of a predicted camera: a body a hundred times as far away as the usual one still has a place."""


class Views(NamedTuple):
    """How the crops of a batch lie in their images.

    Attributes:
        crops: (B, 3), center and side in pixels of the image.
        focal: (B,) in pixels.
        principal: (B, 2) in pixels.
    """

    crops: Tensor
    focal: Tensor
    principal: Tensor

    def box_info(self) -> Tensor:
        """(B, 3), see :class:`~hsjp_mm.models.MeshHead`."""
        place = self.crops[:, :2] - self.principal
        return torch.cat([place, self.crops[:, 2:]], dim=1) / self.focal[:, None]

    def mirrored(self, longer: int) -> 'Views':
        """Of flipped inputs, whose column j becomes W − 1 − j: a pixel beside the crop's mirror."""
        crops = self.crops.clone()
        crops[:, 0] = self.crops[:, 2] / longer - crops[:, 0]
        return Views(crops, self.focal, self.principal * self.principal.new_tensor([-1, 1]))


class BodyEstimator(TopdownPoseEstimator):
    """What estimators of bodies share: the body, its joints, the labelled bodies, the results.

    Args:
        backbone, neck, train_cfg, test_cfg, data_preprocessor, init_cfg, metainfo: as in stock.
        head: What the subclass reads of the maps, see :meth:`tell_head`.
        body: The body model, the free body by default.
        joint_set: Whose names 2D and 3D labels have; with both hips.

    Attributes:
        output_set: Whose points results have, ``test_cfg.joint_set`` or that of the labels. The
            head does not change with it, so that any body can be tested in the points of any data.
    """

    def __init__(
        self, head: dict, body: dict | None, joint_set: str, test_cfg: dict | None, **stock
    ):
        test_cfg = test_cfg or {}
        output_set = test_cfg.get('joint_set', joint_set)
        body = body or dict(type='hsjp_mm.BodyModel', file='free')
        body_model = MODELS.build(body)
        hips, output_hips = (
            self._find_hips(name, value, body_model)
            for name, value in (('joint_set', joint_set), ('test_cfg.joint_set', output_set))
        )
        head = {**head, **self.tell_head(body_model, joint_names(joint_set))}
        super().__init__(head=head, test_cfg=test_cfg, **stock)
        self.body, self.body_cfg = body_model, dict(body)
        self.joint_set, self.output_set = joint_set, output_set
        self.hips, self.output_hips = hips, output_hips
        self.named = f'{body_model.name}, joints by {", ".join(body_model.sources(output_set))}'
        if test_cfg.get('flip_test', False):
            self.named += ', averaged with the flipped input'

    @staticmethod
    def _find_hips(argument: str, joint_set: str, body: BodyModel) -> list[int]:
        """Where in a set, of which the body has all points, both hips are."""
        names = joint_names(joint_set)
        if not {'left_hip', 'right_hip'} <= set(names):
            raise ValueError(f'{argument}={joint_set!r} must have both hips; it has {names}')
        body.require_set(joint_set)
        return [names.index('left_hip'), names.index('right_hip')]

    @staticmethod
    def tell_head(body: BodyModel, names: Sequence[str]) -> dict[str, int]:
        """The arguments of the head that follow from the body and the names of the joint set."""
        raise NotImplementedError

    @property
    def part_names(self) -> tuple[str, ...]:
        """The joints of which the head tells where they look, in its order; by default none."""
        return ()

    def prepare(self, dataset) -> None:
        """Tell data sets what is predicted: the joint set, the body and its number of shapes.

        Raises:
            ValueError: A data set has its points in another joint set.
        """
        file = str(self.body_cfg.get('file', 'free'))
        kind = 'free' if file == 'free' else 'smpl'
        # a file that is named itself is of a gender that nobody says
        gender = self.body_cfg.get('gender', 'neutral') if Path(file).is_dir() else None
        for data in find_datasets(dataset):
            if isinstance(data, MeshDataset):
                joint_set = self.output_set if data.test_mode else self.joint_set
                data.follow(joint_set, self.body.num_shape, kind, gender)
        for step in find_transforms(dataset, RenderPartMap):
            step.body_cfg = self.body_cfg

    def _load_state_dict_pre_hook(self, state_dict, prefix, local_meta, *args, **kwargs):
        """Refuse weights of other shapes: MMEngine would log them and go on with random ones."""
        super()._load_state_dict_pre_hook(state_dict, prefix, local_meta, *args, **kwargs)
        ours = self.state_dict()
        others = [
            f'{name} {tuple(tensor.shape)} for {tuple(ours[name].shape)}'
            for name in ours
            if (tensor := state_dict.get(prefix + name, ours[name])).shape != ours[name].shape
        ]
        if others:
            raise ValueError(
                f'the checkpoint has {", ".join(others)}; joint_set={self.joint_set!r}, body and '
                'head must be those that it was trained with. Results in the points of another '
                'set come by test_cfg=dict(joint_set=...), and a backbone alone by init_cfg=dict('
                "type='hsjp_mm.PretextInit', checkpoint=...)"
            )

    @torch.no_grad()
    def with_body(self, targets: MeshTargets, views: Views) -> MeshTargets:
        """Add the labelled bodies; where they are is found from the labelled keypoints."""
        body = self.body(targets.rotations, targets.shape)
        joints = self.body.keypoints(body, self.joint_set)
        pixels = crop_to_image(targets.keypoints, views.crops)
        translation = fit_translation(
            joints, pixels, targets.keypoint_weights, views.focal, views.principal
        ).float()
        points = torch.cat([joints, body.joints, body.vertices], dim=1)
        depths = points[..., 2] + translation[:, 2:]
        found = (depths > SMALLEST_DEPTH).all(dim=1)  # false for NaN
        far = torch.stack([0 * views.focal, 0 * views.focal, 10 + 0 * views.focal], dim=1)
        points = points + torch.where(found[:, None], translation, far)[:, None]
        places = image_to_crop(project(points, views.focal, views.principal), views.crops)
        has_body = targets.has_pose * targets.has_shape
        return replace(
            targets,
            body=LabelledBody(
                joints, body.vertices, body.joints, places, has_body, has_body * found
            ),
        )

    def pack(
        self, data_samples: list, found: dict[str, Tensor], keypoints: Tensor, named: Sequence[str]
    ) -> list:
        """Add ``pred_instances`` of length 1 to each data sample.

        Args:
            data_samples: Of the batch.
            found: What was found, (B, …) each.
            keypoints: (B, K, 2) in pixels of the image.
            named: Of each sample, what results call the body and the way to it.
        """
        for i, sample in enumerate(data_samples):
            instances = InstanceData(**{name: values[i : i + 1] for name, values in found.items()})
            # numpy, as in stock, whose visualizer draws them
            instances.keypoints = keypoints[i : i + 1].detach().cpu().numpy()
            instances.keypoint_scores = instances.keypoints[..., 0] * 0 + 1
            instances.keypoints_visible = instances.keypoint_scores
            for name in ('bboxes', 'bbox_scores'):
                if name in sample.gt_instances:
                    instances.set_field(sample.gt_instances.get(name), name)
            sample.pred_instances = instances
            # what results are named by, and what the joints are
            sample.set_metainfo({'pred_body': named[i], 'joint_set': self.output_set})
        return data_samples


@MODELS.register_module()
class MeshEstimator(BodyEstimator):
    """Predict the rotations of a body's joints, its shape, and where it is.

    A stock top-down estimator for MMPose's Runner and ``mmpose.apis.inference_topdown``: any
    backbone and neck, with a head that speaks of a body in place of heat maps, and a body model
    that turns it into vertices and joints. Data come from
    :class:`~hsjp_mm.datasets.MeshDataset` through
    :class:`~hsjp_mm.datasets.MeshAffine` and :class:`~hsjp_mm.datasets.PackMeshInputs`.

    Half precision (AMP) goes as far as the head; rotations, body and losses are in single.

    Args:
        backbone, neck: as in stock.
        head: Of :mod:`hsjp_mm.models.heads.mesh`. Its numbers of joints and shape components are
            those of the body.
        body: The body model.
        joint_set: Whose names 2D and 3D labels have; with both hips, from whose middle 3D joints
            are compared.
        loss: The losses and their weights, :class:`~hsjp_mm.models.MeshLoss`.
        full_image: Project the joints with the camera of the image, given or guessed, as `CLIFF
            <https://arxiv.org/abs/2208.00571>`_ does, in units of the crop; by default with the
            far camera that HMR, SPIN and PARE put before each crop. A body that is not in the
            middle of its image is seen from the side, which only the first knows. Goes with
            ``box_info=True`` in the head.
        train_cfg, data_preprocessor, init_cfg, metainfo: as in stock.
        test_cfg: ``flip_test=True`` averages with the mirrored input: rotations as matrices, then
            the nearest rotation; ``output_parts=True`` also gives where each joint looks, for a
            head that has parts; ``joint_set`` of the results, by default that of the labels.

    Raises:
        ValueError: A joint set has no hips, or points that the body has not;
            ``output_parts`` of a head without parts.

    Examples:
        CLIFF's camera, with the head of HMR:

        >>> model = dict(
        ...     type='hsjp_mm.MeshEstimator',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.HMRHead', in_channels=2048, box_info=True),
        ...     body=dict(type='hsjp_mm.BodyModel', file='free'),
        ...     full_image=True,
        ...     test_cfg=dict(flip_test=True),
        ... )
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        neck: dict | None = None,
        body: dict | None = None,
        joint_set: str = 'mesh_22',
        loss: dict | None = None,
        full_image: bool = False,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
        metainfo: dict | None = None,
    ):
        super().__init__(
            head,
            body,
            joint_set,
            backbone=backbone,
            neck=neck,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            metainfo=metainfo,
        )
        self.head.set_body(self.body.flat_template.unflatten(0, (3, -1)).T)
        self.full_image = full_image
        self.mirror = mirror_indices(joint_names('smpl_24'))
        self.loss_module = MODELS.build(loss or dict(type='hsjp_mm.MeshLoss'))

    @staticmethod
    def tell_head(body: BodyModel, names: Sequence[str]) -> dict[str, int]:
        """The numbers of joints, shape components and keypoints."""
        return {
            'num_joints': body.num_joints,
            'num_shape': body.num_shape,
            'num_keypoints': len(names),
        }

    @property
    def part_names(self) -> tuple[str, ...]:
        """The joints of which the head tells where they look, in its order; none of most heads."""
        return joint_names('smpl_24') if self.head.tells_parts else ()

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Compute the losses of crops (B, 3, H, W).

        Returns:
            Those of :class:`~hsjp_mm.models.MeshLoss`; and to be watched, ``mpjpe``, the mean
            distance of joints from the hips' middle in millimeters over what this batch knows, and
            ``scale``, the mean of the cameras' s.
        """
        views = collect_views(data_samples, inputs.device)
        prediction = self.regress(inputs, views)
        targets = collect_targets(data_samples, inputs)
        if self.loss_module.needs_body:
            targets = self.with_body(targets, views)
        losses: dict[str, Tensor] = {}
        for guess in (*prediction.earlier, prediction):
            joints = self.body.keypoints(self.body(guess.rotations, guess.shape), self.joint_set)
            points = self.on_crop(joints, guess.weak, views)
            terms = self.loss_module(guess, points, joints, targets, self.hips)
            losses |= {name: losses.get(name, 0) + term for name, term in terms.items()}
        with torch.no_grad():
            losses['mpjpe'] = 1000 * mean_distance(joints, targets, self.hips)
            losses['scale'] = prediction.weak[:, 0].mean()
        return losses

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Recover the bodies of crops (B, 3, H, W).

        Adds ``pred_instances`` of length 1 to each data sample: ``rotations`` (1, J, 3, 3),
        ``shape`` (1, S), ``weak`` (1, 3) on the crop, ``translation`` (1, 3) in the frame of the
        image's camera; without the translation ``vertices`` (1, V, 3), ``joints24`` (1, J, 3) and
        ``joints`` (1, K, 3); ``keypoints`` (1, K, 2) in pixels of the image, their
        ``keypoint_scores`` of 1, and the box. With ``test_cfg.output_parts`` also
        ``pred_fields.part_attention`` (J, h, w).
        """
        views = collect_views(data_samples, inputs.device)
        prediction = self.regress(inputs, views)
        if self.test_cfg.get('flip_test', False):
            longer = max(inputs.shape[-2:])
            flipped = self.regress(inputs.flip(-1), views.mirrored(longer))
            prediction = self.average(prediction, flipped, longer)
        body = self.body(prediction.rotations, prediction.shape)
        joints = self.body.keypoints(body, self.output_set)
        places = self.on_crop(joints, prediction.weak, views)
        keypoints = crop_to_image(places, views.crops)
        weak = torch.cat(
            [prediction.weak[:, :1].clamp(min=SMALLEST_SCALE), prediction.weak[:, 1:]], 1
        )
        found = {
            'rotations': prediction.rotations,
            'shape': prediction.shape,
            'weak': prediction.weak,
            'translation': weak_to_translation(weak, *views),
            'vertices': body.vertices,
            'joints24': body.joints,
            'joints': joints,
        }
        self.pack(data_samples, found, keypoints, [self.named] * len(data_samples))
        if self.test_cfg.get('output_parts', False):
            scores = prediction.part_scores
            if scores is None or not self.part_names:
                raise ValueError(f'output_parts=True: {type(self.head).__name__} tells no parts')
            for sample, attention in zip(data_samples, part_attention(scores), strict=True):
                sample.pred_fields = PixelData(part_attention=attention)
        return data_samples

    def regress(self, inputs: Tensor, views: Views | None = None) -> MeshPrediction:
        """Run the network on crops (B, 3, H, W).

        Args:
            inputs: The crops.
            views: Where they are in their images; by default each is the whole of its image.
        """
        if views is None:
            sizes = inputs.new_tensor(inputs.shape[:1:-1]).float().expand(len(inputs), 2)
            longer = sizes.max(dim=1, keepdim=True).values
            views = Views(torch.cat([sizes / 2, longer], dim=1), *guess_camera(sizes))
        project_mesh = partial(self._mesh_on_crop, views=views)
        return self.head(self.extract_feat(inputs), views.box_info(), project_mesh)

    def _mesh_on_crop(self, prediction: MeshPrediction, views: Views) -> Tensor:
        """The vertices (B, V, 2) of a prediction on the crop, from −1 to 1."""
        vertices = self.body(prediction.rotations, prediction.shape).vertices
        return self.on_crop(vertices, prediction.weak, views)

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> tuple[Tensor, ...]:
        """Mode ``'tensor'``: rotations, shape and weak perspective of crops."""
        views = collect_views(data_samples, inputs.device) if data_samples else None
        return self.regress(inputs, views)[:3]

    def on_crop(self, joints: Tensor, weak: Tensor, views: Views) -> Tensor:
        """Project joints (B, K, 3) without translation on the crop, from −1 to 1."""
        if self.full_image:
            return crop_projection(joints, weak, *views)
        return crop_projection(
            joints, weak, weak.new_tensor([0, 0, SIDE]), FOCAL, weak.new_zeros(2)
        )

    def average(self, one: MeshPrediction, flipped: MeshPrediction, longer: int) -> MeshPrediction:
        """Average predictions with those of the flipped inputs.

        Args:
            one: Of the inputs.
            flipped: Of their mirror images, as the network gives it.
            longer: The longer side of the input in pixels.
        """
        back = mirror_rotations(flipped.rotations, self.mirror)
        scale = flipped.weak[:, 0]
        # column j is at W − 1 − j in the flipped input, not at W − j
        pixel = 2 / (longer * scale.clamp(min=SMALLEST_SCALE))
        weak = torch.stack([scale, -flipped.weak[:, 1] - pixel, flipped.weak[:, 2]], dim=1)
        return one._replace(
            rotations=nearest_rotation(one.rotations + back),
            shape=(one.shape + flipped.shape) / 2,
            weak=(one.weak + weak) / 2,
        )


def collect_views(data_samples: Sequence, device: torch.device) -> Views:
    """Read where the crops are from the metainfo of data samples."""
    crops = stack([sample.metainfo['crop'] for sample in data_samples], device)
    camera = stack([sample.metainfo['camera'] for sample in data_samples], device)
    return Views(crops, camera[:, :2].mean(dim=1), camera[:, 2:])


def collect_targets(data_samples: Sequence, inputs: Tensor) -> MeshTargets:
    """Collect the labels of data samples, keypoints in units of the crop."""

    def collect(name: str) -> Tensor:
        values = torch.cat([sample.gt_instances.get(name) for sample in data_samples])
        return values.to(inputs.device, torch.float32)

    height, width = inputs.shape[-2:]
    return MeshTargets(
        keypoints=input_to_crop(collect('keypoints'), (width, height)),
        keypoint_weights=collect('keypoints_visible'),
        joints=collect('joints'),
        joint_weights=collect('joints_weight'),
        rotations=collect('rotations'),
        has_pose=collect('has_pose'),
        shape=collect('shape'),
        has_shape=collect('has_shape'),
        part_map=collect_part_maps(data_samples, inputs.device),
    )


def collect_part_maps(data_samples: Sequence, device: torch.device) -> Tensor | None:
    """The maps of parts (B, h, w), IGNORED for samples without; None if none has one."""
    maps = [
        sample.gt_fields.part_map
        if 'gt_fields' in sample and 'part_map' in sample.gt_fields
        else None
        for sample in data_samples
    ]
    known = [one for one in maps if one is not None]
    if not known:
        return None
    ignored = torch.full_like(known[0], IGNORED)
    whole = torch.cat([ignored if one is None else one for one in maps])
    return whole.to(device, torch.long)


def mean_distance(joints: Tensor, targets: MeshTargets, hips: Sequence[int]) -> Tensor:
    """The mean distance in meters of known joints, both from the middle of the hips; 0 of none."""
    known = (targets.joint_weights > 0) & (targets.joint_weights[:, hips] > 0).all(1, keepdim=True)
    truth = torch.where(known[..., None], targets.joints, 0)
    distances = (from_hips(joints, hips) - from_hips(truth, hips)).norm(dim=2)
    return torch.where(known, distances, 0).sum() / known.sum().clamp(min=1)


def stack(rows: Sequence, device: torch.device) -> Tensor:
    """Rows of metainfo, arrays or tensors, as one tensor."""
    return torch.stack([torch.as_tensor(row, dtype=torch.float32) for row in rows]).to(device)
