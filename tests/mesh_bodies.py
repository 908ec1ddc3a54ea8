"""Persons before a camera, with all labels, made up of the free body."""

from pathlib import Path

import cv2
import numpy as np
import torch

from hsjp_mm.datasets.mesh_files import write_mesh_file
from hsjp_mm.models import BodyModel
from hsjp_mm.ops.cameras import project
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.ops.rasterize import rasterize
from hsjp_mm.ops.rotations import axis_angle_to_matrix, matrix_to_axis_angle

WIDTH, HEIGHT = 330, 210
CAMERA = np.array([400, 400, 150, 120], np.float32)  # the optical axis is not in the middle
NAMES = joint_names('mesh_22')


def in_pixels(points: torch.Tensor, camera) -> np.ndarray:
    camera = torch.as_tensor(np.asarray(camera, np.float64))
    return project(points, camera[0], camera[2:]).numpy()


def make_sample(free: BodyModel, seed: int = 0) -> dict:
    """A person beside the middle of the image, in a random pose, seen from in front."""
    generator = torch.Generator().manual_seed(seed)
    rotations = axis_angle_to_matrix(
        0.4 * torch.randn(24, 3, generator=generator, dtype=torch.float64)
    )
    rotations[0] = rotations[0] @ torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    shape = torch.randn(10, generator=generator, dtype=torch.float64)
    translation = torch.tensor([0.6, -0.1, 4.2], dtype=torch.float64)
    body = free(rotations[None], shape[None], translation[None])
    joints = free.keypoints(body, 'mesh_22')[0]
    keypoints = in_pixels(joints, CAMERA)
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    return dict(
        img=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        ori_shape=(HEIGHT, WIDTH),
        bbox=np.array([[*low, *high]], np.float32),
        bbox_center=((low + high) / 2)[None].astype(np.float32),
        bbox_scale=1.2 * (high - low)[None].astype(np.float32),
        bbox_score=np.ones(1, np.float32),
        keypoints=keypoints[None].astype(np.float32),
        keypoints_visible=(np.arange(22, dtype=np.float32) / 21)[None],
        joints=joints.numpy().astype(np.float32),
        joints_weight=np.arange(22, dtype=np.float32) / 21,
        rotations=rotations.numpy().astype(np.float32),
        shape=shape.numpy().astype(np.float32),
        translation=translation.numpy().astype(np.float32),
        has_pose=np.float32(1),
        has_shape=np.float32(1),
        has_translation=np.float32(1),
        camera=CAMERA.copy(),
        joint_set='mesh_22',
        id=3,
        gender='neutral',
    )


def posed(free: BodyModel, sample: dict):
    """The body of a sample before the camera; the free body's pelvis is at its origin."""
    values = (sample[key] for key in ('rotations', 'shape', 'translation'))
    return free(*(torch.from_numpy(np.asarray(value, np.float64))[None] for value in values))


def write_bodies(folder: Path, split: str, number: int, seed: int = 0) -> None:
    """Draw persons, their parts in colors of their own, and write the labels of all they have."""
    free = BodyModel().double()
    samples = [make_sample(free, seed + i) for i in range(number)]
    names = [f'{i}.png' for i in range(number)]
    for kind in ('images', 'parts'):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
    parts = free.parts.numpy()
    colors = np.random.default_rng(0).integers(40, 255, (25, 3), dtype=np.uint8)
    colors[0] = 0
    for name, sample in zip(names, samples, strict=True):
        vertices, faces = posed(free, sample).vertices[0].numpy(), free.faces.numpy()
        raster = rasterize(vertices, faces, CAMERA.astype(float), (WIDTH, HEIGHT))
        part_map = np.where(raster.faces >= 0, parts[faces[raster.faces, 0]] + 1, 0)
        cv2.imwrite(str(folder / 'images' / split / name), colors[part_map])
        cv2.imwrite(str(folder / 'parts' / split / name), part_map.astype(np.uint8))

    def together(key: str) -> np.ndarray:
        return np.stack([sample[key] for sample in samples])

    write_mesh_file(
        folder / 'mesh' / f'{split}.npz',
        dict(
            image_path=np.array(names),
            image_size=np.tile([WIDTH, HEIGHT], (number, 1)),
            box=together('bbox')[:, 0],
            id=np.arange(number),
            keypoints=np.concatenate([together('keypoints')[:, 0], np.ones((number, 22, 1))], 2),
            joints=np.concatenate([together('joints'), np.ones((number, 22, 1))], 2),
            keypoint_set='mesh_22',
            joint_set='mesh_22',
            body='free',
            pose=matrix_to_axis_angle(torch.from_numpy(together('rotations'))).numpy(),
            shape=together('shape'),
            translation=together('translation'),
            **{f'has_{name}': np.ones(number, bool) for name in ('pose', 'shape', 'translation')},
            camera=np.tile(CAMERA, (number, 1)),
            part_map_path=np.array(names),
        ),
    )
