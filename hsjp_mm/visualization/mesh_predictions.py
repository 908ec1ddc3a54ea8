"""What a mesh regressor makes of persons: boards of a batch, and all bodies over a picture."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from hsjp_mm.models.pose_estimators.mesh_estimator import MeshEstimator
from hsjp_mm.visualization.meshes import draw_meshes, mesh_board
from hsjp_mm.visualization.pictures import to_rgb


def draw_mesh_predictions(model: MeshEstimator, batch: dict) -> list[np.ndarray]:
    """Draw the bodies that a model predicts for a batch, beside the labelled ones.

    Args:
        model: In evaluation mode. Where its head tells parts, the boards show where each joint
            looks.
        batch: As collated by the loader of the test, with images from files and without flips.

    Returns:
        For each person a board, RGB, uint8, see :func:`~hsjp_mm.visualization.meshes.mesh_board`.
    """
    settings = model.test_cfg
    model.test_cfg = {**settings, 'output_parts': model.head.tells_parts}
    try:
        samples = model.test_step(batch)
    finally:
        model.test_cfg = settings
    inputs = model.data_preprocessor(batch, False)['inputs']
    return [
        _board(model, sample, to_rgb(model, image))
        for sample, image in zip(samples, inputs, strict=True)
    ]


def draw_bodies(image: np.ndarray, samples: Sequence[Any], faces: np.ndarray) -> np.ndarray:
    """Lay the bodies of all persons of a picture over it.

    Args:
        image: (H, W, 3), RGB.
        samples: What the model predicted for each person, seen by one camera.
        faces: (F, 3) of the body.

    Returns:
        (H, W, 3).
    """
    bodies = [placed_vertices(sample) for sample in samples]
    camera = np.asarray(samples[0].metainfo['camera'], float) if samples else np.ones(4)
    return draw_meshes(image, bodies, faces, camera)


def placed_vertices(sample: Any) -> np.ndarray:
    """The vertices (V, 3) of a predicted body where it stands before the camera."""
    found = sample.pred_instances
    return (found.vertices + found.translation[:, None])[0].detach().cpu().numpy()


def _board(model: MeshEstimator, sample: Any, crop: np.ndarray) -> np.ndarray:
    path = sample.metainfo['img_path']
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(f'{path} cannot be read')
    attention = None
    if 'pred_fields' in sample:
        attention = sample.pred_fields.part_attention.detach().cpu().numpy()
    return mesh_board(
        np.ascontiguousarray(image[..., ::-1]),
        placed_vertices(sample),
        model.body.faces.cpu().numpy(),
        np.asarray(sample.metainfo['camera'], float),
        truth=_labelled(model, sample),
        keypoints=sample.pred_instances.keypoints[0],
        crop=crop,
        attention=attention,
    )


@torch.no_grad()
def _labelled(model: MeshEstimator, sample: Any) -> np.ndarray | None:
    """The vertices (V, 3) of the labelled body; None where pose or shape is not known."""
    labels = sample.gt_instances
    if 'has_pose' not in labels or not (labels.has_pose.all() and labels.has_shape.all()):
        return None
    device = model.body.weights.device
    body = model.body(labels.rotations.to(device), labels.shape.to(device))
    return body.vertices[0].cpu().numpy()
