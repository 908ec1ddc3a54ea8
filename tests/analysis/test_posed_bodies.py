import numpy as np
import pytest
import torch

from hsjp_mm.analysis.posed_bodies import posed_body
from hsjp_mm.datasets.mesh_files import mesh_labels
from hsjp_mm.models import BodyModel
from hsjp_mm.ops.rotations import axis_angle_to_matrix


def labels(**changes):
    rng = np.random.default_rng(0)
    content = dict(
        format='hsjp_mm.mesh.1', body='free', image_path=np.array(['a.jpg', 'b.jpg']),
        image_size=np.zeros((2, 2), int), box=np.array([[0, 0, 5, 5.0]] * 2), id=np.array([7, 9]),
        pose=rng.normal(0, 0.3, (2, 24, 3)), has_pose=np.array([False, True]),
        shape=rng.normal(0, 1, (2, 10)), has_shape=np.array([True, True]),
        translation=np.array([[0, 0, 4.0]] * 2), has_translation=np.array([True, True]),
    )  # fmt: skip
    return mesh_labels({**content, **changes}, 'a.npz')


def test_the_body_is_that_of_the_sample():
    given = labels()
    vertices, faces = posed_body(given)
    rotations = axis_angle_to_matrix(torch.from_numpy(given['pose'][1:]))
    rest = (torch.from_numpy(given[key][1:]) for key in ('shape', 'translation'))
    np.testing.assert_allclose(vertices, BodyModel()(rotations, *rest).vertices[0], atol=1e-6)
    assert faces.shape == (2454, 3)
    np.testing.assert_array_equal(posed_body(given, 9)[0], vertices)


def test_what_cannot_be_posed_is_told():
    with pytest.raises(ValueError, match=r'a\.npz has no sample of number=8'):
        posed_body(labels(), 8)
    with pytest.raises(ValueError, match='the sample of number=7 has no pose'):
        posed_body(labels(), 7)
    with pytest.raises(ValueError, match="its poses are of the body 'smpl'; give file"):
        posed_body(labels(body='smpl'))
