"""What the heads of mesh regressors have in common: what they say, and where they begin.

Letters: B batch, J joints, S shape components.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from hsjp_mm.ops.rotations import matrix_to_rotation6d, rotation6d_to_matrix

MEAN_CAMERA = (0.9, 0.0, 0.0)
"""(s, x, y) of HMR's mean parameters: a person of 1.8 m is 0.81 of the crop high."""
STATE = ('pose', 'shape', 'camera')


class MeshPrediction(NamedTuple):
    """What a head says of a batch, in single precision.

    Attributes:
        rotations: (B, J, 3, 3), the first one in the axes of the camera.
        shape: (B, S).
        weak: (B, 3), (s, x, y) of weak perspective on the crop, see
            :mod:`~hsjp_mm.ops.cameras`.
        part_scores: (B, J + 1, h, w), the background first; of heads that tell parts.
        places: (B, K, 3), where the keypoints are, x and y on the crop from −1 to 1, and the depth
            in meters from the root; of heads that find them without the body.
        limits: (3,), how far from the middle of the crop and from the root ``places`` can be, in
            the same units.
        earlier: Of heads that guess several times, the guesses before, each supervised too.
    """

    rotations: Tensor
    shape: Tensor
    weak: Tensor
    part_scores: Tensor | None = None
    places: Tensor | None = None
    limits: Tensor | None = None
    earlier: 'tuple[MeshPrediction, ...]' = ()


class MeshHead(BaseModule):
    """Turn feature maps into rotations of joints, a shape and a camera.

    A head says what to add to the mean parameters, which are made here and read from no file: each
    joint unturned and the body upright before the camera, whose y axis points down (the first
    rotation is diag(1, −1, −1)), the mean shape, and :data:`MEAN_CAMERA`.

    Args:
        num_joints, num_shape, num_keypoints: J and S of the body, K of the joint set; given by
            :class:`~hsjp_mm.models.MeshEstimator`.
        box_info: Add to the features where in the image the crop is and how large, as `CLIFF
            <https://arxiv.org/abs/2208.00571>`_ does: (x, y) of its center from the principal
            point, and its side, each divided by the focal length. Without it a network cannot know
            from which side it sees a person who is not in the middle of the image.
        init_cfg: as in stock.
    """

    tells_parts = False
    """Whether its ``part_scores`` say where each joint looks."""
    mean_pose: Tensor
    mean_shape: Tensor
    mean_camera: Tensor

    def __init__(
        self,
        num_joints: int = 24,
        num_shape: int = 10,
        num_keypoints: int = 22,
        box_info: bool = False,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg)
        self.num_joints, self.num_shape, self.box_info = num_joints, num_shape, box_info
        self.num_keypoints = num_keypoints
        self.num_extra = 3 if box_info else 0
        self.sizes = (6 * num_joints, num_shape, 3)
        pose = torch.eye(3).repeat(num_joints, 1, 1)
        pose[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        means = matrix_to_rotation6d(pose).flatten(), torch.zeros(num_shape), MEAN_CAMERA
        for name, mean in zip(STATE, means, strict=True):
            self.register_buffer(f'mean_{name}', torch.as_tensor(mean)[None], persistent=False)

    def set_body(self, template: Tensor) -> None:
        """Learn of the body what the head needs of it; by default nothing.

        Args:
            template: (V, 3), the vertices of the mean body at rest.
        """

    def forward(
        self,
        feats: Sequence[Tensor],
        box_info: Tensor | None = None,
        project: Callable[[MeshPrediction], Tensor] | None = None,
    ) -> MeshPrediction:
        """Predict.

        Args:
            feats: Maps of the backbone or neck, of which the last one is taken, (B, C, h, w).
            box_info: (B, 3), for heads that have ``box_info``; others do not look at it.
            project: Gives the vertices (B, V, 2) of a prediction on the crop, from −1 to 1, for
                heads that look where the mesh is.
        """
        raise NotImplementedError

    def extra(self, features: Tensor, box_info: Tensor | None) -> Tensor:
        """What is added to features (B, …): (B, 3) or (B, 0).

        Raises:
            ValueError: The head has ``box_info``, and none is given.
        """
        if not self.box_info:
            return features.new_zeros(len(features), 0)
        if box_info is None:
            raise ValueError(f'{type(self).__name__} has box_info=True, and none is given')
        return box_info.to(features)

    def prediction(
        self, pose: Tensor, shape: Tensor, camera: Tensor, part_scores: Tensor | None = None
    ) -> MeshPrediction:
        """Make rotations of 6D numbers (B, 6 J), joint by joint."""
        rotations = rotation6d_to_matrix(pose.float().unflatten(1, (self.num_joints, 6)))
        scores = None if part_scores is None else part_scores.float()
        return MeshPrediction(rotations, shape.float(), camera.float(), scores)

    def means(self, number: int) -> list[Tensor]:
        """The mean parameters, (B, 6 J), (B, S) and (B, 3)."""
        return [getattr(self, f'mean_{name}').expand(number, -1) for name in STATE]


def small_linear(in_features: int, out_features: int) -> nn.Linear:
    """A layer whose outputs are small, so that the first predictions are near the mean ones.

    HMR's and SPIN's, Xavier's uniform distribution times 0.01.
    """
    layer = nn.Linear(in_features, out_features)
    nn.init.xavier_uniform_(layer.weight, gain=0.01)
    nn.init.zeros_(layer.bias)
    return layer
