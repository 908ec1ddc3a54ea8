import math

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.autograd import gradcheck

from hsjp_mm.ops.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    matrix_to_rotation6d,
    mirror_rotations,
    nearest_rotation,
    quaternion_to_axis_angle,
    quaternion_to_matrix,
    rotation6d_to_matrix,
)

ANGLES = [0, 1e-12, 1e-5, 0.03, 0.0316, 0.0317, 0.5, 2, 3.1, math.pi - 1e-6, math.pi]


def vectors(angle: float, dtype=torch.float64) -> Tensor:
    """Axis-angle of one angle about 13 axes, those of the frame and its planes among them."""
    torch.manual_seed(0)
    axes = torch.cat([torch.eye(3), 1 - torch.eye(3), torch.randn(7, 3)]).to(torch.float64)
    return (angle * axes / axes.norm(dim=1, keepdim=True)).to(dtype)


def scipys(axis_angle: Tensor) -> Tensor:
    return torch.from_numpy(Rotation.from_rotvec(axis_angle.double().numpy()).as_matrix())


@pytest.mark.parametrize('angle', ANGLES)
@pytest.mark.parametrize(('dtype', 'error'), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_all_forms_are_scipys(angle, dtype, error):
    given = vectors(angle, dtype)
    matrix = axis_angle_to_matrix(given)
    close = dict(rtol=0, atol=error)
    torch.testing.assert_close(matrix.double(), scipys(given), **close)
    back = matrix_to_axis_angle(matrix)
    # an axis at π has two signs, so that the rotations are compared
    torch.testing.assert_close(scipys(back), scipys(given), rtol=0, atol=8 * error)
    if angle < 3:
        torch.testing.assert_close(back, given, rtol=0, atol=8 * error)
    quaternion = matrix_to_quaternion(matrix)
    assert (quaternion[:, 0] >= 0).all()
    scalar_last = quaternion[:, [1, 2, 3, 0]].double().numpy()
    expected = torch.from_numpy(Rotation.from_quat(scalar_last).as_matrix())
    torch.testing.assert_close(matrix.double(), expected, rtol=0, atol=4 * error)
    torch.testing.assert_close(
        quaternion_to_matrix(-3 * quaternion), matrix, rtol=0, atol=4 * error
    )
    torch.testing.assert_close(rotation6d_to_matrix(matrix_to_rotation6d(matrix)), matrix, **close)


def test_axis_angle_by_hand():
    quarter = axis_angle_to_matrix(torch.tensor([0, 0, math.pi / 2], dtype=torch.float64))
    expected = torch.tensor([[0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(quarter, expected, rtol=0, atol=1e-15)
    half = math.sqrt(0.5)
    assert matrix_to_quaternion(quarter).tolist() == pytest.approx([half, 0, 0, half])


def test_6d_holds_two_columns_row_by_row():
    assert rotation6d_to_matrix(torch.tensor([1.0, 0, 0, 1, 0, 0])).equal(torch.eye(3))
    # of two columns (0, 0, 2) and (0, 3, 5) the directions are z and y, and z × y = −x
    found = rotation6d_to_matrix(torch.tensor([0.0, 0, 0, 3, 2, 5]))
    assert found.T.tolist() == [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    matrix = torch.arange(9.0).view(3, 3)
    assert matrix_to_rotation6d(matrix).tolist() == [0, 1, 3, 4, 6, 7]


@pytest.mark.parametrize('angle', ANGLES)
@pytest.mark.slow
def test_gradients(angle):
    given = vectors(angle)[[0, 3, 7]].requires_grad_()  # along the frame, within a plane, and none
    assert gradcheck(axis_angle_to_matrix, given)

    def there_and_back(axis_angle: Tensor) -> tuple[Tensor, ...]:
        """Rotations again, for of the two axes at π either may be found."""
        matrix = axis_angle_to_matrix(axis_angle)
        return (
            quaternion_to_matrix(matrix_to_quaternion(matrix)),
            axis_angle_to_matrix(matrix_to_axis_angle(matrix)),
            rotation6d_to_matrix(matrix_to_rotation6d(matrix)),
        )

    assert gradcheck(there_and_back, given)
    if angle < 3.14:
        assert gradcheck(lambda v: matrix_to_axis_angle(axis_angle_to_matrix(v)), given)


@pytest.mark.parametrize('angle', ANGLES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_gradients_are_finite(angle, dtype):
    given = vectors(angle, dtype).requires_grad_()
    matrix = axis_angle_to_matrix(given)
    assert matrix.dtype == torch.float32
    (matrix_to_axis_angle(matrix).sum() + matrix_to_rotation6d(matrix).sum()).backward()
    assert given.grad.isfinite().all()


def test_gradients_of_6d_are_finite_where_it_is_no_rotation():
    given = torch.tensor([[0.0] * 6, [1, 2, 1, 2, 1, 2]]).requires_grad_()
    rotation6d_to_matrix(given).sum().backward()
    assert given.grad.isfinite().all()


def test_quaternions_of_both_signs_are_one_rotation():
    quaternions = matrix_to_quaternion(scipys(vectors(2)))
    expected = quaternion_to_axis_angle(quaternions)
    torch.testing.assert_close(quaternion_to_axis_angle(-0.5 * quaternions), expected)


def test_nearest_rotation_is_scipys_and_never_a_reflection():
    torch.manual_seed(0)
    given = torch.randn(40, 3, 3, dtype=torch.float64)
    found = nearest_rotation(given)
    assert (given.det() < 0).any()
    torch.testing.assert_close(found.det(), torch.ones(40, dtype=torch.float64))
    for one, matrix in zip(found, given, strict=True):
        # the rotation that brings the frame's axes nearest to the matrix's columns
        expected, _ = Rotation.align_vectors(matrix.T.numpy(), torch.eye(3).numpy())
        torch.testing.assert_close(one, torch.from_numpy(expected.as_matrix()), atol=1e-6, rtol=0)


def test_the_mean_of_turns_about_one_axis_is_the_turn_between():
    turns = axis_angle_to_matrix(torch.tensor([[0.0, 0, 0.2], [0, 0, 1.0]], dtype=torch.float64))
    expected = axis_angle_to_matrix(torch.tensor([0.0, 0, 0.6], dtype=torch.float64))
    torch.testing.assert_close(nearest_rotation(turns.mean(dim=0)), expected)


def test_mirrored_axis_angles_have_y_and_z_negated():
    """As the published loaders flip poses."""
    torch.manual_seed(0)
    angles = torch.randn(2, 3, 3, dtype=torch.float64)
    order = [0, 2, 1]
    found = mirror_rotations(axis_angle_to_matrix(angles), order)
    expected = angles[:, order] * torch.tensor([1.0, -1, -1], dtype=torch.float64)
    torch.testing.assert_close(found, axis_angle_to_matrix(expected))
    torch.testing.assert_close(mirror_rotations(found, order), axis_angle_to_matrix(angles))


def test_nearest_rotation_stays_in_single_precision_under_autocast():
    given = torch.eye(3) + 0.1 * torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = nearest_rotation(given)
    torch.testing.assert_close(found, nearest_rotation(given), rtol=0, atol=0)
