"""The losses of Pose2Pose, with masks for what a sample lacks.

Letters: B batch, K keypoints of the set, J joints of the body, S shape components.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hsjp_mm.models.heads.mesh.mesh_head import MeshPrediction
from hsjp_mm.models.losses.mesh_loss import (
    MeshTargets,
    from_hips,
    known_difference,
    labelled_places,
)
from hsjp_mm.ops.rotations import matrix_to_axis_angle
from hsjp_mm.registry import MODELS

HALF = 4.0
"""Cells of half a side of the crop, and of a meter in depth, for a volume of 8 × 8 × 8 cells."""


@MODELS.register_module()
class Pose2PoseLoss(nn.Module):
    """Mean absolute differences, all of weight 1, of `Pose2Pose
    <https://arxiv.org/abs/2011.11534>`_.

    - ``places``: the keypoints of the volume against 2D labels, and in depth against 3D labels from
      the middle of the hips, in cells of the volume.
    - ``keypoints``: projected joints against 2D labels, in cells.
    - ``joints``: 3D joints from the middle of the hips, in meters.
    - ``body_places``, ``body_joints``: as ``places`` and ``joints``, against the joints of the
      labelled body where there is one.
    - ``pose``: rotations, as matrices or as axis times angle, which the original has and its
      authors call a flaw: two numbers of one rotation may be far apart.
    - ``shape``.

    Keypoints beside the input or deeper than the volume count in none of the first two and of
    ``body_places``, for no place of the volume is as far away. Each is the mean over all numbers
    of the batch, known or not, as in the original; what is not known gives 0.

    Args:
        axis_angle: Compare rotations as the original.

    Examples:
        >>> loss = dict(type='hsjp_mm.Pose2PoseLoss', axis_angle=True)
    """

    needs_body = True

    def __init__(self, axis_angle: bool = False):
        super().__init__()
        self.axis_angle = axis_angle

    def forward(
        self,
        prediction: MeshPrediction,
        keypoints: Tensor,
        joints: Tensor,
        targets: MeshTargets,
        hips: Sequence[int],
    ) -> dict[str, Tensor]:
        """Compute the losses; arguments as of :class:`~hsjp_mm.models.MeshLoss`.

        Raises:
            ValueError: The head tells no places.
        """
        if prediction.places is None or prediction.limits is None:
            raise ValueError('Pose2PoseLoss: the head must tell places, as Pose2PoseHead does')
        hip_weights = (targets.joint_weights[:, list(hips)] > 0).all(dim=1, keepdim=True)
        joint_weights = targets.joint_weights * hip_weights
        truth = torch.where(joint_weights[..., None] > 0, targets.joints, 0)
        truth = from_hips(truth, hips)
        own = from_hips(joints, hips)
        places, place_weights = labelled_places(targets, hips, prediction.limits)
        pose, true_pose = prediction.rotations, targets.rotations
        if self.axis_angle:
            pose, true_pose = matrix_to_axis_angle(pose), matrix_to_axis_angle(true_pose)
        terms = {
            'places': HALF * mean_l1(prediction.places, places, place_weights),
            'keypoints': HALF * mean_l1(keypoints, targets.keypoints, place_weights[..., 0]),
            'joints': mean_l1(own, truth, joint_weights),
            'pose': mean_l1(pose, true_pose, targets.has_pose),
            'shape': mean_l1(prediction.shape, targets.shape, targets.has_shape),
        }
        if targets.body is not None:
            of_body = replace(
                targets,
                keypoints=targets.body.places[:, : joints.shape[1]],
                keypoint_weights=targets.body.has_place[:, None].expand_as(joint_weights),
                joints=targets.body.joints,
                joint_weights=targets.body.has_body[:, None].expand_as(joint_weights),
            )
            places, place_weights = labelled_places(of_body, hips, prediction.limits)
            terms['body_places'] = HALF * mean_l1(prediction.places, places, place_weights)
            body = from_hips(targets.body.joints, hips)
            terms['body_joints'] = mean_l1(own, body, of_body.joint_weights)
        return {f'loss_{name}': term for name, term in terms.items()}


def mean_l1(found: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """The mean over everything of absolute differences, weighed.

    Args:
        found, truth: (B, …).
        weights: of their first dimensions.
    """
    weights = weights.reshape(*weights.shape, *[1] * (found.ndim - weights.ndim))
    return (weights * known_difference(found, truth, weights > 0).abs()).mean()
