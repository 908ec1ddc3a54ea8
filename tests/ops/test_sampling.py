import torch
import torch.nn.functional as F

from hsjp_mm.ops.sampling import sample_points


def test_bilinear_values_by_hand():
    maps = torch.tensor([[[[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]]])
    points = torch.tensor([[0.0, 0.0], [2.0, 1.0], [0.5, 0.0], [1.25, 0.5], [9.0, -3.0]])
    found = sample_points(maps, points, torch.zeros(5, dtype=torch.long))
    assert found[:, 0].tolist() == [0.0, 12.0, 0.5, 6.25, 2.0]


def test_equals_torchs_grid_sample_with_its_gradient():
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
