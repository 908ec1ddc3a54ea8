"""What a mesh regressor makes of persons: boards of a batch, and all bodies over a picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hsjp_mm.datasets.image_files import read_image
from hsjp_mm.models.pose_estimators.mesh_estimator import BodyEstimator
from hsjp_mm.visualization.meshes import draw_meshes, mesh_board
from hsjp_mm.visualization.pictures import to_rgb


def draw_mesh_predictions(model: BodyEstimator, batch: dict) -> list[np.ndarray]:
    """Draw the bodies that a model predicts for a batch, beside the labelled ones.

    Args:
        model: In evaluation mode. Where its head tells parts, the boards show where each joint
            looks.
        batch: As collated by the loader of the test, with images from files and without flips.

    Returns:
        For each person a board, RGB, uint8, see :func:`~hsjp_mm.visualization.meshes.mesh_board`.
    """
    return [
        _board(model, sample, crop)
        for sample, crop in zip(
            predict_with_parts(model, batch), crops_of(model, batch), strict=True
        )
    ]


def predict_with_parts(model: BodyEstimator, batch: dict) -> list[Any]:
    """Predict a batch; where the head tells parts, also where each joint looks."""
    settings = model.test_cfg
    model.test_cfg = {**settings, 'output_parts': bool(model.part_names)}
    try:
        return model.test_step(batch)
    finally:
        model.test_cfg = settings


def crops_of(model: BodyEstimator, batch: dict) -> list[np.ndarray]:
    """What the network sees of a batch; (h, w, 3) each, RGB, uint8."""
    return [to_rgb(model, image) for image in model.data_preprocessor(batch, False)['inputs']]


def attention_of(sample: Any) -> np.ndarray:
    """Where each joint looks, (J, h, w), of a model whose head tells it."""
    return sample.pred_fields.part_attention.detach().cpu().numpy()


def image_of(sample: Any) -> np.ndarray:
    """The picture that a person is in; (H, W, 3), RGB, uint8.

    Raises:
        UnreadableImageError: It cannot be read, or is damaged.
    """
    return np.ascontiguousarray(read_image(sample.metainfo['img_path'])[..., ::-1])


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


def _board(model: BodyEstimator, sample: Any, crop: np.ndarray) -> np.ndarray:
    return mesh_board(
        image_of(sample),
        placed_vertices(sample),
        model.body.faces.cpu().numpy(),
        np.asarray(sample.metainfo['camera'], float),
        truth=labelled_vertices(model, sample),
        keypoints=sample.pred_instances.keypoints[0],
        crop=crop,
        attention=attention_of(sample) if model.part_names else None,
    )


@torch.no_grad()
def labelled_vertices(model: BodyEstimator, sample: Any) -> np.ndarray | None:
    """The vertices (V, 3) of the labelled body where its own frame has it, not before the camera.

    None where pose or shape is not known.
    """
    labels = sample.gt_instances
    if 'has_pose' not in labels or not (labels.has_pose.all() and labels.has_shape.all()):
        return None
    device = model.body.weights.device
    body = model.body(labels.rotations.to(device), labels.shape.to(device))
    return body.vertices[0].cpu().numpy()
