"""A body before a camera, of which the tests make files in the official layouts."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from hsjp_mm.models import BodyModel
from hsjp_mm.models.body_models.smpl_files import FREE_BODY
from hsjp_mm.ops.rotations import axis_angle_to_matrix, matrix_to_axis_angle

CAMERA = np.array([1100.0, 1120.0, 510.0, 490.0])
SIZE = (1000, 1002)


class Person(NamedTuple):
    """As a camera sees it: pose (24, 3), shape (10), translation (3) in its axes, and points."""

    pose: np.ndarray
    shape: np.ndarray
    translation: np.ndarray
    joints: np.ndarray
    vertices: np.ndarray


def rotation(*axis_angle: float) -> np.ndarray:
    return axis_angle_to_matrix(torch.tensor(axis_angle, dtype=torch.float64)).numpy()


def vector(matrix: np.ndarray) -> np.ndarray:
    return matrix_to_axis_angle(torch.from_numpy(matrix)).numpy()


def skin(pose, shape, translation) -> tuple[np.ndarray, np.ndarray]:
    """Joints and vertices of the free body, in double precision."""
    model = BodyModel().double()
    rotations = axis_angle_to_matrix(torch.from_numpy(np.asarray(pose, np.float64))[None])
    given = (torch.from_numpy(np.asarray(one, np.float64))[None] for one in (shape, translation))
    body = model(rotations, *given)
    return body.joints[0].numpy(), body.vertices[0].numpy()


def person(seed: int = 0, where=(0.2, 0.1, 4.0)) -> Person:
    """An upright person with drawn limbs, who has turned somewhat."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.2, (24, 3))
    pose[0] = vector(rotation(np.pi, 0, 0) @ rotation(0, rng.uniform(-1, 1), 0.1))
    shape, translation = rng.normal(0, 1, 10), np.array(where)
    return Person(pose, shape, translation, *skin(pose, shape, translation))


def rest_pelvis(shape) -> np.ndarray:
    return skin(np.zeros((24, 3)), shape, np.zeros(3))[0][0]


def in_world(seen: Person, turn: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose and translation in the world from which x' = R x + t leads to the camera.

    Found from the points alone: the first rotation is the one that poses the vertices so, and the
    translation is what is left.
    """
    pose = seen.pose.copy()
    pose[0] = vector(turn.T @ axis_angle_to_matrix(torch.from_numpy(seen.pose[0])).numpy())
    vertices = (seen.vertices - shift) @ turn  # Rᵀ (x − t)
    _, posed = skin(pose, seen.shape, np.zeros(3))
    left = vertices - posed
    assert np.abs(left - left.mean(axis=0)).max() < 1e-6
    return pose, left.mean(axis=0)


def project(points: np.ndarray, camera: np.ndarray = CAMERA) -> np.ndarray:
    return points[:, :2] / points[:, 2:] * camera[:2] + camera[2:]


def smpl_folder(folder: Path) -> Path:
    """A folder like that of SMPL's files, with the free body in each of them."""
    folder.mkdir()
    for gender in ('NEUTRAL', 'MALE', 'FEMALE'):
        shutil.copy(FREE_BODY, folder / f'SMPL_{gender}.npz')
    return folder


def assert_same_body(labels, row: int, seen: Person, vertices: np.ndarray | None = None) -> None:
    """The labels pose the vertices to where the camera sees them."""
    _, posed = skin(labels['pose'][row], labels['shape'][row], labels['translation'][row])
    np.testing.assert_allclose(posed, seen.vertices if vertices is None else vertices, atol=2e-5)
