import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hsjp_mm.ops.coordinates import sample_at, sample_points


def slow_sample(rows: list[list[float]], x: float, y: float, size: tuple[int, int]) -> float:
    """Bilinear interpolation of one channel; cell (i, j) is at the pixel (s·j, s·i)."""
    height, width = len(rows), len(rows[0])
    across = min(max(x / (size[0] / width), 0), width - 1)
    down = min(max(y / (size[1] / height), 0), height - 1)
    left, top = math.floor(across), math.floor(down)
    total = 0.0
    for i in (top, top + 1):
        for j in (left, left + 1):
            share = (1 - abs(down - i)) * (1 - abs(across - j))
            if share > 0:
                total += share * rows[i][j]
    return total


@pytest.mark.parametrize(
    ('cells', 'size'),
    [((7, 7), (224, 224)), ((8, 6), (192, 256)), ((1, 5), (160, 32)), ((1, 1), (32, 32))],
)
def test_equals_interpolation_by_hand(cells, size):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, *cells, dtype=torch.float64)
    # some beyond all sides of the image, some at cells
    points = (torch.rand(2, 40, 2, dtype=torch.float64) * 1.4 - 0.2) * torch.tensor(size)
    points[:, 0] = torch.tensor([32.0, 32.0])
    found = sample_at(maps, points, size)
    assert found.shape == (2, 40, 3)
    for image in range(2):
        for k, (x, y) in enumerate(points[image].tolist()):
            expected = [slow_sample(channel, x, y, size) for channel in maps[image].tolist()]
            assert found[image, k].tolist() == pytest.approx(expected, abs=1e-12)


def test_equals_grid_sample_with_the_same_places():
    torch.manual_seed(1)
    maps = torch.randn(3, 4, 14, 10, dtype=torch.float64)
    points = torch.rand(3, 9, 2, dtype=torch.float64) * torch.tensor([160.0, 224.0])
    cells = points / 16
    grid = (2 * cells + 1) / torch.tensor([10, 14]) - 1
    expected = F.grid_sample(maps, grid[:, None], padding_mode='border', align_corners=False)
    found = sample_at(maps, points, (160, 224))
    torch.testing.assert_close(found, expected[:, :, 0].transpose(1, 2), rtol=0, atol=1e-12)


def strided_network(kernels: tuple[int, ...]) -> nn.Sequential:
    """Means over odd kernels padded alike on both sides, each of stride 2, as in a ResNet's stem.

    A mean leaves a linear function what it is, where the padding does not come into it.
    """
    layers = []
    for kernel in kernels:
        layer = nn.Conv2d(1, 1, kernel, 2, kernel // 2, bias=False).double()
        nn.init.constant_(layer.weight, 1 / kernel**2)
        layers.append(layer)
    return nn.Sequential(*layers)


def position(size: tuple[int, int]) -> torch.Tensor:
    """Two images (2, 1, height, width) whose pixels say where they are: x and y."""
    width, height = size
    x, y = torch.arange(width).double(), torch.arange(height).double()
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])[:, None]


def test_a_map_that_says_where_it_looks_at_gives_the_point_itself():
    size = (256, 192)
    with torch.no_grad():
        maps = strided_network((7, 3, 3, 3))(position(size))  # stride 16
    points = torch.tensor([[64.0, 64], [71.3, 90.9], [100, 65.5], [150.25, 111], [33, 140]])
    found = sample_at(maps, points.double().expand(2, -1, -1), size)
    torch.testing.assert_close(found[0, :, 0], points[:, 0].double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(found[1, :, 0], points[:, 1].double(), rtol=0, atol=1e-9)
    # the corners aligned would look elsewhere: 150 pixels are cell 8.82 then, not 9.38
    grid = points.double() / (torch.tensor(size) - 1) * 2 - 1
    aligned = F.grid_sample(maps[:1], grid[None, None], align_corners=True)[0, 0, 0]
    assert (aligned - points[:, 0]).abs().max() > 8


def test_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    maps = torch.randn(1, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    points = torch.rand(1, 5, 2, dtype=torch.float64) * 30
    assert torch.autograd.gradcheck(lambda m: sample_at(m, points, (24, 32)), (maps,))


def test_half_precision_maps_are_sampled_in_single_precision():
    maps = torch.randn(1, 2, 7, 7).bfloat16()
    points = torch.tensor([[[100.3, 37.9]]])
    with torch.autocast('cpu', torch.bfloat16):
        found = sample_at(maps, points, (224, 224))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, sample_at(maps.float(), points, (224, 224)))


def test_points_of_any_number_by_hand():
    maps = torch.tensor([[[[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]]])
    points = torch.tensor([[0.0, 0.0], [2.0, 1.0], [0.5, 0.0], [1.25, 0.5], [9.0, -3.0]])
    found = sample_points(maps, points, torch.zeros(5, dtype=torch.long))
    assert found[:, 0].tolist() == [0.0, 12.0, 0.5, 6.25, 2.0]


def test_points_of_any_number_equal_grid_sample_with_its_gradient():
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    points = torch.rand(10, 2, dtype=torch.float64) * torch.tensor([9.0, 6.0]) - 2
    owners = torch.arange(10) % 2
    found = sample_points(maps, points, owners)
    grid = points / torch.tensor([5.0, 3.0]) * 2 - 1
    other = torch.stack([
        F.grid_sample(maps[o : o + 1], g.view(1, 1, 1, 2), padding_mode='border',
                      align_corners=True).flatten()
        for o, g in zip(owners.tolist(), grid, strict=True)
    ])  # fmt: skip
    torch.testing.assert_close(found, other, atol=1e-12, rtol=0)
    weights = torch.randn(10, 3, dtype=torch.float64)
    own, theirs = (torch.autograd.grad((v * weights).sum(), maps)[0] for v in (found, other))
    torch.testing.assert_close(own, theirs, atol=1e-12, rtol=0)
