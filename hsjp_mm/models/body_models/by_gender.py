"""The bodies of the genders, for data sets whose persons are each of their own."""

from functools import cache
from pathlib import Path

import numpy as np
import torch

from hsjp_mm.models.body_models.body_model import BodyModel
from hsjp_mm.models.body_models.smpl_files import find_body, read_body
from hsjp_mm.ops.rotations import axis_angle_to_matrix


class BodiesByGender:
    """Joints of SMPL's bodies, of a folder of the user's files; N bodies, S components of shape.

    Args:
        file: The folder, with the files of the genders that are asked for.

    Raises:
        FileNotFoundError: It is missing.
    """

    def __init__(self, file: str | Path):
        if not Path(file).expanduser().is_dir():
            find_body(file)  # says where the files can be had
            raise FileNotFoundError(f'file={str(file)!r} is a file; give the folder of all genders')
        self.model = cache(lambda gender: BodyModel.of(read_body(file, gender)))

    def pelvis(self, gender: str, shape: np.ndarray) -> np.ndarray:
        """The pelvis (N, 3) of resting bodies with shapes (N, S)."""
        identity = np.zeros((len(shape), 24, 3))
        return self.joints(gender, identity, shape, np.zeros((len(shape), 3)))[:, 0]

    def joints(
        self, gender: str, pose: np.ndarray, shape: np.ndarray, translation: np.ndarray
    ) -> np.ndarray:
        """The joints (N, 24, 3) of bodies with poses (N, 24, 3), axis-angle, in meters.

        Raises:
            FileNotFoundError: There is no file of that gender.
        """
        model = self.model(gender)
        shapes = torch.zeros(len(shape), model.num_shape)
        number = min(model.num_shape, shape.shape[1])
        shapes[:, :number] = torch.from_numpy(shape[:, :number])
        with torch.no_grad():
            rotations = axis_angle_to_matrix(torch.from_numpy(np.asarray(pose, np.float64)))
            body = model(rotations, shapes, torch.from_numpy(translation))
        return body.joints.double().numpy()
