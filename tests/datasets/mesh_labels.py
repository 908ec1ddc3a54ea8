"""Small labels of meshes, whose values say where they stand."""

from pathlib import Path

import cv2
import numpy as np

from hsjp_mm.datasets.mesh import write_mesh_file
from hsjp_mm.ops.keypoint_orders import joint_names

SIZES = {'a/0.png': (64, 48), 'a/1.png': (48, 64), 'b/2.png': (40, 40)}


def made_up_labels(number: int = 6) -> dict:
    """Labels of COCO's keypoints, Human3.6M's joints, and SMPL's pose and shape.

    Sample i has the id 100 + i; point k of it is at (10 + k, 20 + i) and joint k at
    (0.1 k, 0.01 i, 2). Two samples are in each image.
    """
    names = list(SIZES)
    images = [names[index // 2 % len(names)] for index in range(number)]
    samples = np.arange(number)
    keypoints = np.ones((number, 17, 3), np.float32)
    keypoints[..., 0] = 10 + np.arange(17)
    keypoints[..., 1] = 20 + samples[:, None]
    joints = np.ones((number, 17, 4), np.float32)
    joints[..., 0] = np.arange(17) / 10
    joints[..., 1] = samples[:, None] / 100
    joints[..., 2] = 2
    pose = np.zeros((number, 24, 3), np.float32)
    pose[:, 0, 0] = np.pi
    pose[:, 4, 2] = samples / 10
    return {
        'body': 'smpl',
        'keypoint_set': 'coco_17',
        'joint_set': 'h36m_17',
        'image_path': np.array(images),
        'image_size': np.array([SIZES[name] for name in images]),
        'box': np.tile(np.array([4, 6, 30, 36], np.float32), (number, 1)),
        'id': 100 + samples,
        'keypoints': keypoints,
        'joints': joints,
        'pose': pose,
        'has_pose': np.ones(number, bool),
        'shape': np.tile(np.arange(10, dtype=np.float32), (number, 1)),
        'has_shape': samples != 1,
        'translation': np.tile(np.array([0, 0, 3], np.float32), (number, 1)),
        'has_translation': samples != 2,
        'gender': np.array(['male', 'female', 'neutral'])[samples % 3],
        'camera': np.tile(np.array([500, 500, 32, 24], np.float32), (number, 1)),
        'sequence': np.array([name.partition('/')[0] for name in images]),
        'frame': samples,
    }


def write_made_up(folder: Path, **changes) -> Path:
    """Write the labels and their images, in which each pixel is its own; returns the file."""
    for index, (name, (width, height)) in enumerate(SIZES.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.RandomState(index).randint(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(str(folder / name), pixels)
    labels = {**made_up_labels(), **changes}
    write_mesh_file(
        folder / 'labels.npz', {key: value for key, value in labels.items() if value is not None}
    )
    return folder / 'labels.npz'


def place(joint_set: str, name: str) -> int:
    """Where a joint is in a set."""
    return joint_names(joint_set).index(name)
