import numpy as np
import pytest
import torch
from torch import Tensor

from hsjp_mm.ops.procrustes import align, similarity_transform
from hsjp_mm.ops.rotations import axis_angle_to_matrix


def horn(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Lay one point set on another by Horn's quaternions, point by point: no SVD, no reflection."""
    a = [point - sum(source) / len(source) for point in source]
    b = [point - sum(target) / len(target) for point in target]
    matrix = np.zeros((4, 4))
    for p, q in zip(a, b, strict=True):
        left = np.block([[0, -p[None]], [p[:, None], -cross(p)]])
        right = np.block([[0, -q[None]], [q[:, None], cross(q)]])
        matrix += left.T @ right
    w, *v = np.linalg.eigh(matrix)[1][:, -1]
    v = np.array(v)
    rotation = (w * w - v @ v) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * cross(v)
    turned = [rotation @ point for point in a]
    top = sum(float(p @ q) for p, q in zip(turned, b, strict=True))
    scale = top / sum(float(p @ p) for p in turned)
    return np.array([scale * point for point in turned]) + sum(target) / len(target)


def cross(v: np.ndarray) -> np.ndarray:
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def random_points(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed)).double()


def test_equals_horns_quaternions():
    source, target = random_points(20, 14), random_points(20, 14, seed=1) * 3 + 5
    target[10:] = source[10:] + 0.1 * target[10:]  # and some that are alike
    expected = np.stack([horn(s, t) for s, t in zip(source.numpy(), target.numpy(), strict=True)])
    np.testing.assert_allclose(align(source, target), expected, rtol=0, atol=1e-10)


def test_any_similarity_is_undone():
    points = random_points(2, 5, 17)
    rotation = axis_angle_to_matrix(random_points(2, 5))
    scale = torch.linspace(0.1, 9, 10, dtype=torch.float64).view(2, 5)
    moved = scale[..., None, None] * points @ rotation.mT + 100 * random_points(2, 5, 1, seed=2)
    found_scale, found_rotation, _ = similarity_transform(points, moved)
    torch.testing.assert_close(found_scale, scale)
    torch.testing.assert_close(found_rotation, rotation)
    torch.testing.assert_close(align(points, moved), moved)
    # single precision in, at millimeters of a body 100 m away
    torch.testing.assert_close(align(points.float(), moved.float()), moved, rtol=0, atol=1e-4)


def test_a_mirror_image_is_not_turned_into_its_pose():
    points = random_points(14)
    mirrored = points * torch.tensor([-1.0, 1, 1])
    _, rotation, _ = similarity_transform(mirrored, points)
    assert rotation.det().item() == pytest.approx(1)
    found = align(mirrored, points)
    np.testing.assert_allclose(found, horn(mirrored.numpy(), points.numpy()), atol=1e-10)
    assert (found - points).norm(dim=-1).mean() > 0.1


def test_by_hand():
    """A right triangle twice as large, turned by a quarter about z and moved."""
    source = torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 4, 0]])
    target = torch.tensor([[1.0, 2, 3], [1, 8, 3], [-7, 2, 3]])
    scale, rotation, translation = similarity_transform(source, target)
    assert scale.item() == pytest.approx(2)
    assert rotation.flatten().tolist() == pytest.approx([0, -1, 0, 1, 0, 0, 0, 0, 1], abs=1e-12)
    assert translation.tolist() == pytest.approx([1, 2, 3])


def test_degenerate_points():
    line = torch.linspace(0, 1, 6)[:, None] * torch.tensor([1.0, 2, 2])
    turned = line[:, [2, 0, 1]] * 4 - 1
    _, rotation, _ = similarity_transform(line, turned)
    assert rotation.det().item() == pytest.approx(1)
    torch.testing.assert_close(align(line, turned), turned.double(), rtol=0, atol=1e-6)
    flat = random_points(9) * torch.tensor([1.0, 1, 0])
    torch.testing.assert_close(align(flat, flat[:, [2, 0, 1]]), flat[:, [2, 0, 1]])
    one = torch.ones(6, 3)
    middle = turned.double().mean(dim=0).expand(6, 3)
    torch.testing.assert_close(align(one, turned), middle)
    torch.testing.assert_close(align(turned, one), one.double())


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('name', ['source', 'target'])
def test_what_is_not_finite_is_an_error(name, value):
    points = {'source': random_points(2, 3, 14), 'target': random_points(2, 3, 14)}
    points[name][1, 1, 5, 0] = value
    with pytest.raises(ValueError, match=rf'{name} .* in 1 of 6 point sets \(first: 4\)'):
        align(**points)
    with pytest.raises(ValueError, match=rf'{name} .* in 1 of 1 point sets'):
        similarity_transform(points['source'][1, 1], points['target'][1, 1])


@pytest.mark.parametrize(
    'shapes', [((4, 3), (5, 3)), ((4, 2), (4, 2)), ((3,), (3,)), ((0, 3), (0, 3))]
)
def test_shapes_are_checked(shapes):
    with pytest.raises(ValueError, match='source'):
        similarity_transform(*(torch.zeros(shape) for shape in shapes))
