"""Distances of joints, 3DPCK and AUC."""

import numpy as np
import pytest
import torch
from mmpose.evaluation.functional import keypoint_mpjpe

from hsjp_mm.evaluation.pose_errors import aligned_errors, joint_errors, pck_and_auc, table


def poses(number: int = 6, joints: int = 14, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(number, joints, 3, generator=generator, dtype=torch.float64)
    return truth + 0.1 * torch.randn(truth.shape, generator=generator, dtype=torch.float64), truth


def slow_aligned(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """One pose at a time, the rotation by Kabsch's algorithm with its sign of the determinant."""
    errors = []
    for x, y in zip(found, truth, strict=True):
        a, b = x - x.mean(0), y - y.mean(0)
        u, s, vt = np.linalg.svd(a.T @ b)
        d = np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))])
        rotation = vt.T @ d @ u.T
        scale = (np.diag(s) @ d).trace() / (a**2).sum()
        errors.append(
            [1000 * np.linalg.norm(scale * rotation @ p - q) for p, q in zip(a, b, strict=True)]
        )
    return np.array(errors)


def test_a_distance_in_millimeters():
    truth = torch.zeros(1, 2, 3)
    found = torch.tensor([[[0.003, 0.0, 0.004], [0.0, 0.1, 0.0]]])
    assert joint_errors(found, truth).tolist() == [[pytest.approx(5), pytest.approx(100)]]


def test_aligned_errors_are_those_of_a_loop():
    found, truth = poses()
    expected = slow_aligned(found.numpy(), truth.numpy())
    np.testing.assert_allclose(aligned_errors(found, truth).numpy(), expected, rtol=1e-9)
    mirrored = truth * torch.tensor([-1, 1, 1])
    expected = slow_aligned(mirrored.numpy(), truth.numpy())
    np.testing.assert_allclose(aligned_errors(mirrored, truth).numpy(), expected, rtol=1e-9)
    assert expected.mean() > 100  # a reflection is not allowed to hide that left is right


def test_turned_moved_and_scaled_poses_have_no_aligned_error():
    _, truth = poses()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    turn = turn * turn.det()
    assert aligned_errors(0.5 * truth @ turn + 3, truth).max() < 1e-9


def test_points_that_are_not_finite_are_an_error():
    found, truth = poses()
    found[2, 3, 1] = torch.nan
    for errors in (joint_errors, aligned_errors):
        with pytest.raises(ValueError, match='1 of 6'):
            errors(found, truth)
    with pytest.raises(ValueError, match='one shape'):
        joint_errors(truth[:, 1:], truth)


def test_errors_are_those_of_mmpose():
    found, truth = poses()
    mask = np.ones(found.shape[:2], dtype=bool)
    for errors, alignment in ((joint_errors, 'none'), (aligned_errors, 'procrustes')):
        stock = keypoint_mpjpe(found.numpy(), truth.numpy(), mask, alignment)
        assert float(errors(found, truth).mean()) == pytest.approx(1000 * stock)


def test_3dpck_and_auc_are_those_of_a_loop():
    errors = joint_errors(*poses(20)).numpy()
    pck, auc = pck_and_auc(errors)
    values = errors.ravel().tolist()
    share = {limit: sum(value < limit for value in values) / len(values) for limit in range(151)}
    assert 5 < pck < 95
    assert pck == pytest.approx(100 * share[150])
    assert auc == pytest.approx(100 * sum(share[limit] for limit in range(0, 151, 5)) / 31)


def test_an_error_of_exactly_the_limit_is_wrong():
    assert pck_and_auc(np.array([150.0, 149.0, 0.0, 1000.0])) == (
        50, pytest.approx(100 * (30 + 1) / 31 / 4)
    )  # fmt: skip


def test_the_table_has_a_line_for_each_joint():
    text = table('mm', ['knee', 'ankle'], {'MPJPE': np.array([1.25, 10]), 'PA': np.array([1, 2])})
    assert [line.split() for line in text.splitlines()] == [
        ['mm', 'MPJPE', 'PA'], ['knee', '1.2', '1.0'], ['ankle', '10.0', '2.0']
    ]  # fmt: skip
