import math

import pytest
import torch

from hsjp_mm.models import Pose2PoseHead
from hsjp_mm.models.heads.mesh.pose2pose_head import weak_of
from hsjp_mm.models.heads.mesh.pymaf_head import sample_maps
from hsjp_mm.ops.rotations import rotation6d_to_matrix


def small_head(**options) -> Pose2PoseHead:
    torch.manual_seed(0)
    return Pose2PoseHead(
        6, **{**dict(thin_channels=4, num_shape=3, num_keypoints=5), **options}
    ).eval()


def test_parameters_are_those_of_the_paper():
    head = Pose2PoseHead(2048, num_keypoints=25)
    assert sum(p.numel() for p in head.parameters()) == 26_694_213 - 23_508_032


def test_keypoints_are_the_mean_places_of_their_volumes():
    head = small_head()
    maps = torch.randn(2, 6, 8, 6)
    places = head([maps]).places
    volume = head.volume(maps).reshape(2, 5, 8, 8, 6)
    for b in range(2):
        for k in range(5):
            shares = volume[b, k].exp() / volume[b, k].exp().sum()
            x = y = z = 0.0
            for d in range(8):
                for i in range(8):
                    for j in range(6):
                        share = float(shares[d, i, j])
                        x, y, z = x + share * j, y + share * i, z + share * d
            # cell j of 6 is at 32 j of 192 pixels, in the square of 256 about the middle
            expected = [(32 * x - 96) / 128, (32 * y - 128) / 128, (z / 8 * 2 - 1) * 1.0]
            assert places[b, k].tolist() == pytest.approx(expected, abs=1e-5)


def test_rotations_are_read_at_the_keypoints():
    head = small_head()
    maps = torch.randn(2, 6, 8, 6)
    found = head([maps])
    cells = torch.stack(
        [(found.places[..., 0] * 8 + 6) / 2, (found.places[..., 1] * 8 + 8) / 2,
         (found.places[..., 2] + 1) * 4], dim=2,
    )  # fmt: skip
    grid = cells[..., :2] / torch.tensor([5.0, 7]) * 2 - 1
    read = sample_maps(head.thin(maps), grid)
    together = torch.cat([read, cells], dim=2).flatten(1)
    six = torch.cat([head.root(together), head.pose(together), torch.zeros(2, 12)], dim=1)
    expected = rotation6d_to_matrix((head.mean_pose + six).unflatten(1, (24, 6)))
    torch.testing.assert_close(found.rotations, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.rotations[:, 22:], torch.eye(3).expand(2, 2, 3, 3))
    pooled = maps.mean(dim=(2, 3))
    torch.testing.assert_close(found.shape, head.shape(pooled))


def test_rotations_do_not_move_the_keypoints():
    head = small_head()
    found = head([torch.randn(2, 6, 4, 4)])
    found.rotations.sum().backward()
    assert head.volume.weight.grad is None
    found.places.sum().backward()
    assert head.volume.weight.grad.abs().sum() > 0


def test_the_camera_of_the_paper():
    """Depth k · sigmoid(c), k = sqrt(f² 2.5² / (H W)); f / depth pixels are a meter."""
    width, height, focal = 192, 256, 5000.0
    camera = torch.tensor([[0.1, -0.2, 0.7]], dtype=torch.float64)
    depth = math.sqrt(focal**2 * 2.5**2 / (width * height)) / (1 + math.exp(-0.7))
    weak = weak_of(camera, width / height)
    assert weak[0].tolist() == pytest.approx([focal / depth / (height / 2), 0.1, -0.2])
