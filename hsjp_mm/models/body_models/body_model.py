"""Linear blend skinning: from rotations of joints and a shape to the vertices of a body.

Letters: B bodies, J joints, V vertices, S shape components, K points of a joint set.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hsjp_mm.models.body_models.arrays import BodyArrays
from hsjp_mm.models.body_models.smpl_files import read_body, with_regressors
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.registry import MODELS


class Body(NamedTuple):
    """Posed bodies, in meters.

    Attributes:
        vertices: (B, V, 3).
        joints: (B, J, 3), those that the rotations are about.
    """

    vertices: Tensor
    joints: Tensor


@MODELS.register_module()
class BodyModel(nn.Module):
    """Linear blend skinning of any body in SMPL's layout.

    From `SMPL: A Skinned Multi-Person Linear Model
    <https://doi.org/10.1145/2816795.2818013>`_, equations 2 to 10, written from the paper: the
    package smplx is for non-commercial research alone, and works on dense matrices (4, 4) for each
    vertex. Rotations are about the joints, the first one's about the pelvis, not about the origin.

    The arrays of the body are no part of a checkpoint: a file of the user's may not be passed on,
    and what a model predicts has a meaning with its own body only.

    Args:
        file: ``'free'``, the body that comes with the package; a ``.npz`` or ``.pkl`` in SMPL's
            layout; or the folder of SMPL's files by either of their names.
        gender: Which file of a folder: ``'neutral'``, ``'male'`` or ``'female'``.
        num_shape: How many of the file's shape components are used.
        regressors: Files of the user's that take points from the vertices, by the joint sets that
            they are of and in whose order their rows are, see
            :func:`~hsjp_mm.models.body_models.smpl_files.with_regressors`.

    Attributes:
        name: Of the body, for results.
        joint_sets: The names of the sets that it has regressors of.
        parents: Of each joint the one that it hangs on, −1 for the first.
        faces: (F, 3) long, triangles of vertices.
        parts: (V,) long, the joint that a vertex goes with most.

    Raises:
        FileNotFoundError: There is no such file; the message says where it can be had.
        ValueError: The file is no body, or has fewer shape components.

    Examples:
        >>> body = dict(type='hsjp_mm.BodyModel', file='free', num_shape=10)
        >>> # SMPL of the folder data/smpl:
        >>> # dict(type='hsjp_mm.BodyModel', file='data/smpl', gender='male',
        >>> #     regressors=dict(h36m_17_left_first='data/smpl/J_regressor_h36m.npy'))
    """

    dirs: Tensor
    flat_template: Tensor
    joint_template: Tensor
    joint_dirs: Tensor
    weights: Tensor
    faces: Tensor
    parts: Tensor

    def __init__(
        self,
        file: str = 'free',
        gender: str = 'neutral',
        num_shape: int = 10,
        regressors: Mapping[str, str] | None = None,
    ):
        super().__init__()
        self._set(with_regressors(read_body(file, gender), regressors or {}), num_shape)

    @classmethod
    def of(cls, arrays: BodyArrays, num_shape: int = 10) -> 'BodyModel':
        """Make the model of arrays that are already read."""
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model._set(arrays, num_shape)
        return model

    def _set(self, arrays: BodyArrays, num_shape: int) -> None:
        known = arrays.shape_directions.shape[2]
        if not 0 <= num_shape <= known:
            raise ValueError(
                f'num_shape={num_shape} must be from 0 to the {known} of {arrays.name}'
            )
        self.name, self.parents, self.num_shape = arrays.name, arrays.parents, num_shape
        self.num_joints, self.num_vertices = len(self.parents), len(arrays.template)
        self.levels, self.order = _levels(self.parents)
        # coordinates before vertices, so that the sums over coordinates run along memory
        moves = [torch.from_numpy(arrays.shape_directions[..., :num_shape])]
        self.has_correctives = arrays.pose_directions is not None
        if arrays.pose_directions is not None:
            moves.append(torch.from_numpy(arrays.pose_directions))
        self._buffer('dirs', torch.cat(moves, dim=2).permute(2, 1, 0).flatten(1))
        self._buffer('flat_template', torch.from_numpy(arrays.template).T.flatten())
        self._buffer('joint_template', torch.from_numpy(arrays.joint_template))
        joint_moves = torch.from_numpy(arrays.joint_directions[..., :num_shape])
        self._buffer('joint_dirs', joint_moves.permute(2, 0, 1).flatten(1))
        self._buffer('weights', torch.from_numpy(arrays.weights).T)
        self._buffer('faces', torch.from_numpy(arrays.faces))
        self._buffer('parts', torch.from_numpy(arrays.weights).argmax(dim=1))
        self.joint_sets = tuple(arrays.regressors)
        for joint_set, matrix in arrays.regressors.items():
            self._buffer(f'regressor_{joint_set}', torch.from_numpy(matrix))

    def _buffer(self, name: str, values: Tensor) -> None:
        values = values.float() if values.is_floating_point() else values
        self.register_buffer(name, values.contiguous(), persistent=False)

    def forward(
        self, rotations: Tensor, shape: Tensor | None = None, translation: Tensor | None = None
    ) -> Body:
        """Pose bodies.

        Args:
            rotations: (B, J, 3, 3) matrices, of each joint relative to its parent.
            shape: (B, num_shape), in standard deviations; the mean body by default.
            translation: (B, 3) in meters, added to all points.

        Returns:
            The bodies in the frame of their first rotation, in the precision of the model's own
            arrays, also under autocast.

        Raises:
            ValueError: The shapes are others.
        """
        self._require_shapes(rotations, shape, translation)
        with torch.autocast(rotations.device.type, enabled=False):
            rotations = rotations.to(self.weights.dtype)
            if shape is None:
                shape = rotations.new_zeros(len(rotations), self.num_shape)
            shape = shape.to(rotations)
            resting = torch.addmm(self.joint_template.flatten(), shape, self.joint_dirs)
            turns, joints = self._chain(rotations, resting.unflatten(1, (-1, 3)))
            vertices = self._skin(rotations, shape, turns, joints, resting.unflatten(1, (-1, 3)))
            if translation is not None:
                translation = translation.to(rotations)[:, None]
                vertices, joints = vertices + translation, joints + translation
        return Body(vertices, joints)

    def keypoints(self, body: Body, joint_set: str) -> Tensor:
        """Points of posed bodies, such as COCO's keypoints.

        A set that is none of :attr:`joint_sets` comes from the first of them that has all its
        names, or else name by name, each from the first that has it: Human3.6M's before COCO's
        before the others, and the joints of the rotations (``smpl_24``) last.

        Args:
            body: What the model made.
            joint_set: One of :data:`~hsjp_mm.ops.keypoint_orders.JOINT_SETS`.

        Returns:
            (B, K, 3) in meters, in the set's order.

        Raises:
            ValueError: The body has not all points of that set.
        """
        if joint_set == 'smpl_24' and self._has_smpl_joints:
            return body.joints
        if joint_set in self.joint_sets:
            matrix = getattr(self, f'regressor_{joint_set}')
            with torch.autocast(matrix.device.type, enabled=False):
                joints, vertices = matrix.split([self.num_joints, self.num_vertices], dim=1)
                return joints @ body.joints + vertices @ body.vertices
        owners = self._owners(joint_set)
        used = list(dict.fromkeys(owners.values()))
        points = torch.cat([self.keypoints(body, source) for source in used], dim=1)
        listed = [(source, name) for source in used for name in joint_names(source)]
        return points[:, [listed.index((source, name)) for name, source in owners.items()]]

    def require_set(self, joint_set: str) -> None:
        """See that :meth:`keypoints` has a set, before there is a body.

        Raises:
            ValueError: As there.
        """
        if joint_set not in self.joint_sets:
            self._owners(joint_set)

    def sources(self, joint_set: str) -> tuple[str, ...]:
        """The sets whose regressors give the points of a set, for results to name them."""
        if joint_set in self.joint_sets or (joint_set == 'smpl_24' and self._has_smpl_joints):
            return (joint_set,)
        return tuple(dict.fromkeys(self._owners(joint_set).values()))

    def _owners(self, joint_set: str) -> dict[str, str]:
        """Of each name of a set, in its order, the set that its point is taken from."""
        known = sorted(self.joint_sets, key=_precedence)
        if self._has_smpl_joints:
            known.append('smpl_24')
        names = joint_names(joint_set)
        # a regressor that covers all is taken alone, for its points go with one another
        whole = [source for source in known if set(names) <= set(joint_names(source))]
        sources = whole[:1] or known
        owners = {
            name: next((source for source in sources if name in joint_names(source)), '')
            for name in names
        }
        if missing := [name for name, source in owners.items() if not source]:
            raise ValueError(
                f'joint_set={joint_set!r} has {", ".join(missing)}, but {self.name} has regressors '
                f'of {", ".join(self.joint_sets) or "no set"}'
            )
        return owners

    @property
    def _has_smpl_joints(self) -> bool:
        return self.num_joints == len(joint_names('smpl_24'))

    def _chain(self, rotations: Tensor, resting: Tensor) -> tuple[Tensor, Tensor]:
        """Turn joints about their parents, all of one depth of the tree at once.

        Returns:
            The rotations (B, J, 3, 3) and places (B, J, 3) in the frame of the body.
        """
        turns, places = [rotations[:, :1]], [resting[:, :1]]
        before = [0]
        for level in self.levels:
            parents = [self.parents[joint] for joint in level]
            above = [before.index(parent) for parent in parents]
            turn = turns[-1][:, above]
            bones = (resting[:, level] - resting[:, parents])[..., None]
            places.append(places[-1][:, above] + (turn @ bones).squeeze(-1))
            turns.append(turn @ rotations[:, level])
            before = level
        return torch.cat(turns, dim=1)[:, self.order], torch.cat(places, dim=1)[:, self.order]

    def _skin(
        self, rotations: Tensor, shape: Tensor, turns: Tensor, joints: Tensor, resting: Tensor
    ) -> Tensor:
        features = shape
        if self.has_correctives:
            identity = torch.eye(3, dtype=shape.dtype, device=shape.device)
            features = torch.cat([shape, (rotations[:, 1:] - identity).flatten(1)], dim=1)
        straight = torch.addmm(self.flat_template, features, self.dirs).unflatten(1, (3, -1))
        # where a joint takes the origin of the body at rest
        origins = joints - (turns @ resting[..., None]).squeeze(-1)
        # column by column of the rotations: all of a vertex's 12 numbers at once do not fit caches
        vertices = origins.mT @ self.weights
        for k in range(3):
            blended = turns[..., k].mT @ self.weights
            vertices = torch.addcmul(vertices, blended, straight[:, k, None])
        return vertices.transpose(1, 2)

    def _require_shapes(
        self, rotations: Tensor, shape: Tensor | None, translation: Tensor | None
    ) -> None:
        number = len(rotations)
        wanted: Mapping[str, tuple[Any, tuple[int, ...]]] = {
            'rotations': (rotations, (number, self.num_joints, 3, 3)),
            'shape': (shape, (number, self.num_shape)),
            'translation': (translation, (number, 3)),
        }
        for name, (given, expected) in wanted.items():
            if given is not None and given.shape != expected:
                raise ValueError(
                    f'{name} must be {expected} for {self.name}, got {tuple(given.shape)}'
                )


def _precedence(joint_set: str) -> tuple[bool, bool]:
    """What sorts Human3.6M's sets before COCO's before the others."""
    return not joint_set.startswith('h36m_17'), joint_set != 'coco_17'


def _levels(parents: tuple[int, ...]) -> tuple[list[list[int]], list[int]]:
    """The joints by their depth in the tree below the first, and each one's place in that list."""
    depths = [0] * len(parents)
    for joint, parent in enumerate(parents[1:], start=1):
        depths[joint] = depths[parent] + 1
    levels = [
        [j for j, d in enumerate(depths) if d == depth] for depth in range(1, max(depths) + 1)
    ]
    listed = [0, *(joint for level in levels for joint in level)]
    return levels, [listed.index(joint) for joint in range(len(parents))]
