import numpy as np
import pytest
import torch

from hsjp_mm.models import BodyModel
from hsjp_mm.models.body_models.by_gender import BodiesByGender
from hsjp_mm.ops.rotations import axis_angle_to_matrix
from tests.datasets.converters.scene import smpl_folder


def test_joints_are_those_of_the_model(tmp_path):
    rng = np.random.default_rng(0)
    pose, shape, translation = rng.normal(size=(2, 24, 3)), rng.normal(size=(2, 4)), np.ones((2, 3))
    bodies = BodiesByGender(smpl_folder(tmp_path / 'smpl'))
    joints = bodies.joints('male', pose, shape, translation)
    model = BodyModel()
    shapes = torch.zeros(2, 10)
    shapes[:, :4] = torch.from_numpy(shape)  # those that are not given are the mean's
    body = model(axis_angle_to_matrix(torch.from_numpy(pose)), shapes, torch.ones(2, 3))
    np.testing.assert_allclose(joints, body.joints.numpy(), atol=1e-5)
    resting = model(torch.eye(3).expand(2, 24, 3, 3), shapes).joints[:, 0]
    np.testing.assert_allclose(bodies.pelvis('female', shape), resting.numpy(), atol=1e-6)


def test_mistakes(tmp_path):
    with pytest.raises(FileNotFoundError, match='register at https://smpl'):
        BodiesByGender(tmp_path / 'none')
    folder = smpl_folder(tmp_path / 'smpl')
    with pytest.raises(FileNotFoundError, match='give the folder of all genders'):
        BodiesByGender(folder / 'SMPL_MALE.npz')
    (folder / 'SMPL_MALE.npz').unlink()
    with pytest.raises(FileNotFoundError, match="no SMPL body of gender='male'"):
        BodiesByGender(folder).pelvis('male', np.zeros((1, 10)))
