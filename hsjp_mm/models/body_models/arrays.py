"""The arrays of a body in SMPL's layout, checked.

Letters: V vertices, F triangles, J joints, S shape components, K points of a regressor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hsjp_mm.ops.keypoint_orders import joint_names

HEIGHTS = (0.3, 3.0)  # meters; a template in centimeters or millimeters is beyond them
REGRESSOR = 'regressor_'
"""What the keys of regressors begin with, before the name of their joint set."""


@dataclass(frozen=True)
class BodyArrays:
    """A body that linear blend skinning moves. Meters; x to the body's left, y up, z forward.

    Attributes:
        name: Of the body, for messages and results.
        template: (V, 3), the mean body in the T-pose.
        shape_directions: (V, 3, S), what a component of the shape adds to it.
        pose_directions: (V, 3, 9 (J − 1)), what rotations minus the identity add to it; or None.
        joint_template: (J, 3), the joints of the mean body.
        joint_directions: (J, 3, S), what a component of the shape adds to them.
        weights: (V, J), how much a vertex goes with each joint; they sum to 1.
        parents: Of each joint the one that it hangs on, −1 for the first.
        faces: (F, 3), triangles of vertices, counter-clockwise from outside.
        regressors: By the names of joint sets, (K, J + V): points as weighted sums of the posed
            joints and vertices.
        mirror: (V,), of each vertex that of the other side, where known.
    """

    name: str
    template: np.ndarray
    shape_directions: np.ndarray
    pose_directions: np.ndarray | None
    joint_template: np.ndarray
    joint_directions: np.ndarray
    weights: np.ndarray
    parents: tuple[int, ...]
    faces: np.ndarray
    regressors: Mapping[str, np.ndarray] = field(default_factory=dict)
    mirror: np.ndarray | None = None


def body_arrays(content: Mapping[str, Any], name: str) -> BodyArrays:
    """Check what a file holds.

    The rest joints are linear in the shape, so that a ``J_regressor``, which takes them from the
    vertices of the body at rest, is applied here once to the template and to each component. A
    file that has ``J_template`` and ``J_shapedirs`` needs none, and those are taken first.

    Args:
        content: By SMPL's keys: ``v_template``, ``shapedirs``, ``weights``, ``kintree_table``,
            ``f``, ``J_regressor`` (dense) or ``J_template`` and ``J_shapedirs``, and where there
            are any ``posedirs``, ``vertex_mirror`` and ``regressor_NAME`` of joint sets; other keys
            are not looked at.
        name: Of the body.

    Raises:
        ValueError: Keys are missing; the arrays do not fit one another, or not what they are.
    """
    needed = {'v_template', 'shapedirs', 'weights', 'kintree_table', 'f'}
    if not {'J_template', 'J_shapedirs'} <= content.keys():
        needed.add('J_regressor')
    if missing := sorted(needed - content.keys()):
        raise ValueError(
            f'{name} is no body in the layout of SMPL: it lacks {", ".join(missing)} (it has '
            f'{", ".join(sorted(content)) or "nothing"})'
        )
    template = _floats(content, 'v_template', name)
    if template.ndim != 2 or template.shape[1] != 3 or not len(template):
        raise ValueError(f'{name}: v_template must be (V, 3), it is {template.shape}')
    parents = _parents(np.asarray(content['kintree_table']), name)
    vertices, joints = len(template), len(parents)
    shape = _floats(content, 'shapedirs', name)
    _require_shape('shapedirs', shape, (vertices, 3, shape.shape[-1]), name)
    weights = _floats(content, 'weights', name)
    _require_shape('weights', weights, (vertices, joints), name)
    _require_sums(weights, name)
    if 'J_regressor' in needed:
        regressor = _floats(content, 'J_regressor', name)
        _require_shape('J_regressor', regressor, (joints, vertices), name)
        joint_template = regressor @ template
        joint_directions = np.einsum('jv,vcs->jcs', regressor, shape)
    else:
        joint_template = _floats(content, 'J_template', name)
        joint_directions = _floats(content, 'J_shapedirs', name)
    _require_shape('J_template', joint_template, (joints, 3), name)
    _require_shape('J_shapedirs', joint_directions, (joints, 3, shape.shape[2]), name)
    pose = _floats(content, 'posedirs', name) if 'posedirs' in content else np.zeros(0)
    if pose.size:
        _require_shape('posedirs', pose, (vertices, 3, 9 * (joints - 1)), name)
    _require_meters(template, name)
    return BodyArrays(
        name=name,
        template=template,
        shape_directions=shape,
        pose_directions=pose if pose.size else None,
        joint_template=joint_template,
        joint_directions=joint_directions,
        weights=weights,
        parents=parents,
        faces=_indices(content, 'f', (None, 3), vertices, name),
        regressors=_regressors(content, joints + vertices, name),
        mirror=(
            _indices(content, 'vertex_mirror', (vertices,), vertices, name)
            if 'vertex_mirror' in content
            else None
        ),
    )


def _floats(content: Mapping[str, Any], key: str, name: str) -> np.ndarray:
    array = np.asarray(content[key])
    if array.dtype.kind not in 'fiu':
        raise ValueError(f'{name}: {key} must be numbers, it is of type {array.dtype}')
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f'{name}: {key} has values that are not finite')
    return array


def _indices(
    content: Mapping[str, Any], key: str, shape: tuple[int | None, ...], limit: int, name: str
) -> np.ndarray:
    array = np.asarray(content[key])
    fits = len(array.shape) == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in 'iu' or array.min() < 0 or array.max() >= limit:
        raise ValueError(
            f'{name}: {key} must be numbers of {limit} vertices, it is {array.dtype} of shape '
            f'{array.shape}'
        )
    return array.astype(np.int64)


def _parents(table: np.ndarray, name: str) -> tuple[int, ...]:
    """Of SMPL's kintree_table, whose second row holds the joints' own numbers."""
    if table.ndim != 2 or len(table) != 2 or table.dtype.kind not in 'iu':
        raise ValueError(
            f'{name}: kintree_table must be (2, J) whole numbers, it is {table.dtype} of shape '
            f'{table.shape}'
        )
    parents = (-1, *(int(parent) for parent in table[0, 1:]))
    if not all(0 <= parent < joint for joint, parent in enumerate(parents) if joint):
        raise ValueError(
            f'{name}: in kintree_table each joint but the first must hang on one before it, got '
            f'{parents}'
        )
    return parents


def _regressors(content: Mapping[str, Any], columns: int, name: str) -> dict[str, np.ndarray]:
    found = {}
    for key in sorted(content):
        if key.startswith(REGRESSOR):
            joint_set = key.removeprefix(REGRESSOR)
            matrix = _floats(content, key, name)
            _require_shape(key, matrix, (len(joint_names(joint_set)), columns), name)
            found[joint_set] = matrix
    return found


def _require_shape(key: str, array: np.ndarray, shape: tuple[int, ...], name: str) -> None:
    if array.shape != shape:
        raise ValueError(f'{name}: {key} must be {shape}, it is {array.shape}')


def _require_sums(weights: np.ndarray, name: str) -> None:
    sums = weights.sum(axis=1)
    if np.abs(sums - 1).max() > 1e-3:
        raise ValueError(
            f'{name}: the weights of each vertex must sum to 1, got {sums.min():.3f} to '
            f'{sums.max():.3f}'
        )


def _require_meters(template: np.ndarray, name: str) -> None:
    height = float(np.ptp(template[:, 1]))
    if not HEIGHTS[0] <= height <= HEIGHTS[1]:
        raise ValueError(
            f'{name}: v_template is {height:.4g} high along y, which no body is in meters '
            f'({HEIGHTS[0]} to {HEIGHTS[1]})'
        )
