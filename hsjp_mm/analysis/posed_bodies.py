"""The bodies that labels of meshes describe."""

import numpy as np
import torch

from hsjp_mm.datasets.mesh_files import MeshLabels
from hsjp_mm.models.body_models import BodyModel
from hsjp_mm.ops.rotations import axis_angle_to_matrix


def posed_body(
    labels: MeshLabels, number: int | None = None, file: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pose the body of a sample.

    Args:
        labels: Of a file of meshes.
        number: The sample's ``id``; by default the first one that has a pose.
        file: Of the body model; by default the free body, if the labels are of it.

    Returns:
        Its vertices (V, 3) in the camera's frame, in meters, and the faces (F, 3).

    Raises:
        ValueError: There is no such sample, or it has no pose; the body of the labels is not free
            and ``file`` is not given.
    """
    if file is None and labels.body != 'free':
        raise ValueError(
            f'{labels.name}: its poses are of the body {labels.body!r}; give file, where that is'
        )
    fits = labels['has_pose'] if number is None else labels['id'] == number
    if not fits.any():
        what = 'no sample with a pose' if number is None else f'no sample of number={number}'
        raise ValueError(f'{labels.name} has {what}')
    row = int(np.flatnonzero(fits)[0])
    if not labels['has_pose'][row]:
        raise ValueError(f'{labels.name}: the sample of number={number} has no pose')
    known = labels['shape'].shape[1] if 'shape' in labels else 0
    model = BodyModel(file or 'free', gender=str(labels['gender'][row]), num_shape=known)
    shape = translation = None
    if labels['has_shape'][row]:
        shape = torch.from_numpy(labels['shape'][row : row + 1])
    if labels['has_translation'][row]:
        translation = torch.from_numpy(labels['translation'][row : row + 1])
    rotations = axis_angle_to_matrix(torch.from_numpy(labels['pose'][row : row + 1]))
    with torch.no_grad():
        [vertices] = model(rotations, shape, translation).vertices.numpy()
    return vertices, model.faces.numpy()
