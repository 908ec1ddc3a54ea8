"""The losses of I2L-MeshNet, with masks for what a sample lacks.

Letters: B batch, K keypoints of the set, J joints of the body, V vertices, F triangles.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsjp_mm.models.losses.mesh_loss import (
    LabelledBody,
    MeshTargets,
    labelled_places,
)
from hsjp_mm.models.losses.pose2pose_loss import mean_l1
from hsjp_mm.registry import MODELS

HALF = 32.0
"""Cells of half a side of the crop, and of a meter in depth, for a volume of 64 × 64 × 64 cells."""
SIDES = ((0, 1), (0, 2), (1, 2))
"""The corners of a triangle that its sides join."""


class LixelPrediction(NamedTuple):
    """What I2L-MeshNet says of a batch, in single precision.

    All points have x and y from −1 to 1 on the crop, and z in meters from the hips' middle.

    Attributes:
        joints: (B, K, 3), of the joint set.
        joints24: (B, J, 3), of the body.
        vertices: (B, V, 3).
        mesh_joints: (B, K, 3), those that the body model takes from the vertices.
        limits: (3,), how far from its middle the input reaches, in the same units.
    """

    joints: Tensor
    joints24: Tensor
    vertices: Tensor
    mesh_joints: Tensor
    limits: Tensor


@MODELS.register_module()
class LixelLoss(nn.Module):
    """The losses of `I2L-MeshNet <https://arxiv.org/abs/2008.03713>`_, section 4.

    Mean absolute differences in cells, of which the crop's side has 64 whatever the input's size:

    - ``joints``: the joints against 2D labels, and in depth against 3D labels from the middle of
      the hips.
    - ``body_joints``: the joints and those of the body against those of the labelled body.
    - ``mesh``: the vertices against the labelled ones.
    - ``mesh_joints``, ``mesh_body_joints``: as the first two, for the joints that are taken from
      the vertices. Where the body's regressor takes them from the body's joints too, these learn.
    - ``edges``: the lengths of the triangles' sides.
    - ``normals``: the absolute cosine between each side and the labelled normal of its triangle.

    A labelled body counts where 2D labels tell its place, and not where it is far away from the
    labels that it was fitted to. Points beside the input or deeper than the volume do not count,
    nor do sides and triangles with such a point. Each is the mean over all numbers of the batch,
    known or not, as in the original; what is not known gives 0.

    Args:
        normals: The weight of ``normals``, the others have 1.
        max_meters: Mean distance of the labelled body's joints from 3D labels, both about their
            mean, above which it is dropped; for samples with 3D labels.
        max_cells: The same on the crop, for the other samples.

    Raises:
        ValueError: an argument below 0.

    Examples:
        >>> loss = dict(type='hsjp_mm.LixelLoss', normals=0.1)
    """

    def __init__(self, normals: float = 0.1, max_meters: float = 0.025, max_cells: float = 3.0):
        super().__init__()
        given = {'normals': normals, 'max_meters': max_meters, 'max_cells': max_cells}
        for name, value in given.items():
            if not value >= 0:
                raise ValueError(f'{name}={value} must be at least 0')
        self.normals, self.max_meters, self.max_cells = normals, max_meters, max_cells

    def forward(
        self,
        prediction: LixelPrediction,
        targets: MeshTargets,
        hips: Sequence[int],
        faces: Tensor,
    ) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            prediction: Of the network.
            targets: What is known, with the labelled bodies.
            hips: Where in the set both hips are.
            faces: (F, 3), triangles of vertices.

        Returns:
            ``loss_joints`` and so on, weighted.

        Raises:
            ValueError: There are no labelled bodies in ``targets``.
        """
        if targets.body is None:
            raise ValueError('LixelLoss: targets.body must be given')
        number = targets.keypoints.shape[1]
        limits = prediction.limits
        truth, weights = labelled_places(targets, hips, limits)
        body = self._body(targets.body, hips)
        inside = (body.abs() <= limits).all(dim=2)
        known = inside * (targets.body.has_place * self.good_fits(targets))[:, None]
        points = torch.cat([prediction.joints, prediction.joints24], dim=1)
        among = points.shape[1]
        mesh, mesh_known = body[:, among:], known[:, among:]
        terms = {
            'joints': mean_l1(prediction.joints, truth, weights),
            'body_joints': mean_l1(points, body[:, :among], known[:, :among]),
            'mesh': mean_l1(prediction.vertices, mesh, mesh_known),
            'mesh_joints': mean_l1(prediction.mesh_joints, truth, weights),
            'mesh_body_joints': mean_l1(
                prediction.mesh_joints, body[:, :number], known[:, :number]
            ),
            'edges': edge_loss(prediction.vertices, mesh, mesh_known, faces),
        }
        losses = {f'loss_{name}': HALF * term for name, term in terms.items()}
        normals = normal_loss(prediction.vertices, mesh, mesh_known, faces)
        return {**losses, 'loss_normals': self.normals * normals}

    def good_fits(self, targets: MeshTargets) -> Tensor:
        """(B,), 1 where the labelled body is near the labels that it was fitted to, else 0."""
        body = targets.body
        assert body is not None
        in_space = _spread(body.joints, targets.joints, targets.joint_weights)
        number = targets.keypoints.shape[1]
        on_crop = _distance(body.places[:, :number], targets.keypoints, targets.keypoint_weights)
        has_joints = (targets.joint_weights > 0).any(dim=1)
        good = torch.where(
            has_joints, in_space <= self.max_meters, HALF * on_crop <= self.max_cells
        )
        return good.float()

    @staticmethod
    def _body(body: LabelledBody, hips: Sequence[int]) -> Tensor:
        """The places (B, K + J + V, 3) of the labelled bodies."""
        root = body.joints[:, list(hips), 2:].mean(dim=1, keepdim=True)
        points = torch.cat([body.joints, body.joints24, body.vertices], dim=1)
        return torch.cat([body.places, points[..., 2:] - root], dim=2)


def edge_loss(found: Tensor, truth: Tensor, known: Tensor, faces: Tensor) -> Tensor:
    """The mean absolute difference of the lengths of all triangles' sides.

    Args:
        found, truth: (B, V, 3).
        known: (B, V), 1 or 0.
        faces: (F, 3).
    """
    truth = torch.where(known[..., None] > 0, truth, 0)
    differences = [
        mean_l1(
            (found[:, faces[:, a]] - found[:, faces[:, b]]).norm(dim=2),
            (truth[:, faces[:, a]] - truth[:, faces[:, b]]).norm(dim=2),
            known[:, faces[:, a]] * known[:, faces[:, b]],
        )
        for a, b in SIDES
    ]
    return torch.stack(differences).mean()


def normal_loss(found: Tensor, truth: Tensor, known: Tensor, faces: Tensor) -> Tensor:
    """The mean absolute cosine between sides and the true normals; arguments as above."""
    truth = torch.where(known[..., None] > 0, truth, 0)
    corners = truth[:, faces]  # (B, F, 3 corners, 3)
    first, second = (corners[:, :, i] - corners[:, :, 0] for i in (1, 2))
    normals = F.normalize(torch.linalg.cross(first, second), dim=2, eps=1e-20)
    whole = known[:, faces].prod(dim=2)
    cosines = [
        (F.normalize(found[:, faces[:, b]] - found[:, faces[:, a]], dim=2) * normals).sum(dim=2)
        for a, b in SIDES
    ]
    return torch.stack([(whole * cosine.abs()).mean() for cosine in cosines]).mean()


def _distance(found: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """(B,), the mean distance of the points (B, K, …) that have a weight."""
    known = weights > 0
    difference = torch.where(known[..., None], found - truth, 0)
    return difference.norm(dim=2).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def _spread(found: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """The same, of both about the mean of their known points."""
    known = (weights > 0)[..., None]
    number = known.sum(dim=1, keepdim=True).clamp(min=1)
    found, truth = (
        points - torch.where(known, points, 0).sum(dim=1, keepdim=True) / number
        for points in (found, truth)
    )
    return _distance(found, truth, weights)
