"""The losses of mesh regressors, with masks for what a sample lacks.

Letters: B batch, K joints of the set, J joints of the body, S shape components, h and w the map's
height and width.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn

from hsjp_mm.models.heads.mesh.mesh_head import MeshPrediction
from hsjp_mm.ops.part_labels import IGNORED
from hsjp_mm.registry import MODELS


@dataclass
class MeshTargets:
    """What is known of a batch. Where something is not known, its numbers are not looked at.

    Attributes:
        keypoints: (B, K, 2), from −1 to 1 on the crop.
        keypoint_weights: (B, K), 0 where not labelled.
        joints: (B, K, 3) in meters, in the axes of the camera.
        joint_weights: (B, K), 0 where not known.
        rotations: (B, J, 3, 3).
        has_pose: (B,), 1 or 0.
        shape: (B, S).
        has_shape: (B,), 1 or 0.
        part_map: (B, h, w) long, 0 to J, and 255 where it is not known; None if it is nowhere.
        body: The labelled bodies, for losses that need them.
    """

    keypoints: Tensor
    keypoint_weights: Tensor
    joints: Tensor
    joint_weights: Tensor
    rotations: Tensor
    has_pose: Tensor
    shape: Tensor
    has_shape: Tensor
    part_map: Tensor | None = None
    body: 'LabelledBody | None' = None


@dataclass
class LabelledBody:
    """Bodies in the labelled poses and shapes, (B, …); only where both are known do they count.

    Attributes:
        joints: (B, K, 3) in meters, in the axes of the camera.
        vertices: (B, V, 3), the same.
        joints24: (B, J, 3), the same.
        places: (B, K + J + V, 2), where all three are on the crop from −1 to 1.
        has_body: (B,), 1 where pose and shape are known.
        has_place: (B,), 1 where also the 2D labels tell where the body is.
    """

    joints: Tensor
    vertices: Tensor
    joints24: Tensor
    places: Tensor
    has_body: Tensor
    has_place: Tensor


@MODELS.register_module()
class MeshLoss(nn.Module):
    """The losses of HMR, SPIN and PARE.

    None of the papers gives the weights; they are those of the code of `SPIN
    <https://arxiv.org/abs/1909.12828>`_ and `PARE <https://arxiv.org/abs/2104.08527>`_, whose whole
    sum is multiplied by 60. All are means of squares except the last:

    - ``keypoints``: projected joints against 2D labels, in half sides of the crop, times the
      labels' confidence, over all joints. SPIN's mean is over 49 joints, 25 of which have weight 0.
    - ``joints``: 3D joints from the middle of the hips, times their confidence, over the samples
      that have them with both hips.
    - ``pose``: rotation matrices, over the samples that have a pose.
    - ``shape``: over the samples that have one.
    - ``scale``: exp(−10 s)² for the camera's s, which keeps the body before the camera. Below 0 the
      tangent goes on in its place, for the power would soon be infinite.
    - ``parts``: the cross-entropy of the part scores over the labelled cells.

    What a whole batch lacks gives 0, never NaN. With several processes each has its own means, as
    the originals; a term that few samples have then weighs more in a process that has few of them.

    Args:
        keypoints, joints, pose, shape, scale, parts: the weights.
        factor: of all of them.
        part_epochs: Epochs after which part labels no longer train, so that attention alone decides
            where a joint looks; by default they train to the end. PARE's paper, section 3.3, stops
            them, and its study does not say when.

    Raises:
        ValueError: a weight below 0.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.MeshEstimator',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.PAREHead', in_channels=2048),
        ...     loss=dict(type='hsjp_mm.MeshLoss', part_epochs=90),
        ... )
    """

    needs_body = False

    def __init__(
        self,
        keypoints: float = 5.0,
        joints: float = 5.0,
        pose: float = 1.0,
        shape: float = 0.001,
        scale: float = 1.0,
        parts: float = 1.0,
        factor: float = 60.0,
        part_epochs: int | None = None,
    ):
        super().__init__()
        self.weights = {
            'keypoints': keypoints, 'joints': joints, 'pose': pose, 'shape': shape, 'scale': scale,
            'parts': parts,
        }  # fmt: skip
        for name, weight in {**self.weights, 'factor': factor}.items():
            if not weight >= 0:
                raise ValueError(f'{name}={weight} must be at least 0')
        self.factor, self.part_epochs = factor, part_epochs
        self.told = False

    def forward(
        self,
        prediction: MeshPrediction,
        keypoints: Tensor,
        joints: Tensor,
        targets: MeshTargets,
        hips: Sequence[int],
    ) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            prediction: Of a head.
            keypoints: (B, K, 2), its joints on the crop, from −1 to 1.
            joints: (B, K, 3), its joints in meters.
            targets: What is known.
            hips: Where in the set both hips are.

        Returns:
            ``loss_keypoints`` and so on, weighted.

        Raises:
            ValueError: The head finds keypoints of its own, which nothing here would train.
        """
        if prediction.places is not None:
            raise ValueError(
                'loss=MeshLoss does not train the places that the head finds; take '
                'hsjp_mm.Pose2PoseLoss'
            )
        terms = {
            'keypoints': keypoint_loss(keypoints, targets.keypoints, targets.keypoint_weights),
            'joints': joint_loss(joints, targets.joints, targets.joint_weights, hips),
            'pose': masked_mean(prediction.rotations, targets.rotations, targets.has_pose),
            'shape': masked_mean(prediction.shape, targets.shape, targets.has_shape),
            'scale': scale_prior(prediction.weak[:, 0]),
        }
        if prediction.part_scores is not None:
            # 0, not left out: several processes wait for the gradient of each parameter
            part_map = targets.part_map if self.supervises_parts() else None
            terms['parts'] = part_loss(prediction.part_scores, part_map)
        return {
            f'loss_{name}': self.factor * self.weights[name] * term for name, term in terms.items()
        }

    def supervises_parts(self) -> bool:
        """Whether part labels train in this epoch."""
        if self.part_epochs is None:
            return True
        run = MessageHub.get_current_instance().runtime_info
        if run.get('max_epochs') == 1 and not self.told:
            self.told = True
            print_log(
                f'MeshLoss: part_epochs={self.part_epochs} changes nothing in a run of one epoch, '
                'which a run by iterations is, too',
                'current',
                logging.WARNING,
            )
        return int(run.get('epoch', 0)) < self.part_epochs


def keypoint_loss(found: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """The mean over B, K and both coordinates of weighted squares."""
    difference = known_difference(found, truth, weights[..., None] > 0)
    return (weights[..., None] * difference.square()).mean()


def joint_loss(found: Tensor, truth: Tensor, weights: Tensor, hips: Sequence[int]) -> Tensor:
    """The same in 3D from the middle of the hips, over the samples that have both hips."""
    weights = weights * (weights[:, list(hips)] > 0).all(dim=1, keepdim=True)
    known = weights[..., None] > 0
    truth = torch.where(known, truth, 0)
    difference = known_difference(from_hips(found, hips), from_hips(truth, hips), known)
    number = (weights > 0).any(dim=1).sum() * found[0].numel()
    return (weights[..., None] * difference.square()).sum() / number.clamp(min=1)


def from_hips(joints: Tensor, hips: Sequence[int]) -> Tensor:
    """Joints (B, K, 3) from the middle of both hips."""
    return joints - joints[:, list(hips)].mean(dim=1, keepdim=True)


def labelled_places(
    targets: MeshTargets, hips: Sequence[int], limits: Tensor
) -> tuple[Tensor, Tensor]:
    """Where in a volume about the hips' middle the labelled keypoints are.

    Args:
        targets: What is known.
        hips: Where in the set both hips are.
        limits: (3,), how far from its middle the volume reaches; keypoints beside it do not count.

    Returns:
        (B, K, 3), x and y on the crop and the depth in meters from the hips' middle, and the
        weights of these three numbers.
    """
    hip_weights = (targets.joint_weights[:, list(hips)] > 0).all(dim=1, keepdim=True)
    depth_weights = targets.joint_weights * hip_weights
    depths = torch.where(depth_weights[..., None] > 0, targets.joints, 0)
    depths = from_hips(depths, hips)[..., 2:]
    truth = torch.cat([targets.keypoints, depths], dim=2)
    weights = torch.stack([targets.keypoint_weights] * 2 + [depth_weights], dim=2)
    beside = (weights > 0) & ~(truth.abs() <= limits)
    return truth, weights * ~beside.any(dim=2, keepdim=True)


def masked_mean(found: Tensor, truth: Tensor, has: Tensor) -> Tensor:
    """The mean of squares (B, …) over the samples that have it."""
    mask = (has > 0).reshape(-1, *[1] * (found.ndim - 1))
    squares = known_difference(found, truth, mask).square()
    return squares.sum() / (mask.sum() * found[0].numel()).clamp(min=1)


def scale_prior(scale: Tensor) -> Tensor:
    """The mean of exp(−10 s)², and of its tangent 1 − 20 s below 0."""
    power = torch.exp(-20 * scale.clamp(min=0))
    return torch.where(scale < 0, 1 - 20 * scale, power).mean()


def part_loss(scores: Tensor, part_map: Tensor | None) -> Tensor:
    """The mean cross-entropy over the labelled cells; 0 without any label.

    Raises:
        ValueError: The maps are of another size.
    """
    if part_map is None:
        return 0 * scores.sum()
    if part_map.shape[1:] != scores.shape[2:]:
        raise ValueError(
            f'the scores of parts are {scores.shape[3]}×{scores.shape[2]} cells, their labels '
            f'{part_map.shape[2]}×{part_map.shape[1]}: a quarter of the input'
        )
    total = F.cross_entropy(scores, part_map, ignore_index=IGNORED, reduction='sum')
    return total / (part_map != IGNORED).sum().clamp(min=1)


def known_difference(found: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """0 where the truth is not known, whatever stands there, NaN too; so are the gradients."""
    return torch.where(known, found - truth, 0)
