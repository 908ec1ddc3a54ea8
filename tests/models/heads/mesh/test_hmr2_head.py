import torch

from hsjp_mm.models import HMR2Head


def test_cells_are_a_set_to_the_query():
    """The decoder sees cells without order: position is in the features of the ViT."""
    torch.manual_seed(0)
    head = HMR2Head(8, dim=16, num_layers=2, num_heads=2, feedforward_channels=16).eval()
    for layer in head.decoders:
        torch.nn.init.normal_(layer.weight)
    maps = torch.randn(2, 8, 4, 3)
    shuffled = maps.flatten(2)[..., torch.randperm(12)].reshape(2, 8, 4, 3)
    one, other = head([maps]), head([shuffled])
    torch.testing.assert_close(one.rotations, other.rotations, atol=1e-4, rtol=1e-4)
    changed = head([torch.cat([maps[:1], 2 * maps[1:]])])
    torch.testing.assert_close(changed.weak[0], one.weak[0])
    assert not torch.allclose(changed.weak[1], one.weak[1])
