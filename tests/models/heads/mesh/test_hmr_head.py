import pytest
import torch

from hsjp_mm.models import HMRHead
from hsjp_mm.ops.rotations import rotation6d_to_matrix


def test_corrects_its_guess_so_many_times():
    """The loop of the paper, section 3.2, written out."""
    torch.manual_seed(0)
    head = HMRHead(8, hidden_channels=16, num_iterations=3, num_shape=4).eval()
    for layer in head.decoders:
        torch.nn.init.normal_(layer.weight, std=0.1)
    maps = torch.randn(2, 8, 5, 3)
    found = head([maps])
    features = maps.flatten(2).mean(dim=2)
    pose, shape, camera = head.mean_pose, head.mean_shape, head.mean_camera
    pose, shape, camera = (values.repeat(2, 1) for values in (pose, shape, camera))
    first, _, second, _ = head.regressor
    for _ in range(3):
        hidden = second(first(torch.cat([features, pose, shape, camera], dim=1)))
        pose, shape, camera = (
            values + layer(hidden)
            for values, layer in zip((pose, shape, camera), head.decoders, strict=True)
        )
    torch.testing.assert_close(found.rotations, rotation6d_to_matrix(pose.reshape(2, 24, 6)))
    torch.testing.assert_close(found.shape, shape)
    torch.testing.assert_close(found.weak, camera)


def test_number_of_iterations_is_checked():
    with pytest.raises(ValueError, match='num_iterations=0 must be at least 1'):
        HMRHead(8, num_iterations=0)
