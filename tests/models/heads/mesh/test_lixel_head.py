import pytest
import torch

from hsjp_mm.models import LixelHead


def test_parameters_are_those_of_the_paper():
    """Of PoseNet with 29 joints and MeshNet with SMPL's vertices."""
    with torch.device('meta'):
        heads = {number: LixelHead(2048, number) for number in (29, 6890)}
    counts = {n: sum(p.numel() for p in head.parameters()) for n, head in heads.items()}
    assert counts == {29: 44_113_239, 6890: 49_403_070}


def test_points_are_the_mean_places_along_each_axis():
    torch.manual_seed(0)
    head = LixelHead(6, 5, depth=7, deconv_out_channels=(4, 4, 3)).eval()
    maps = torch.randn(2, 6, 2, 3)
    with torch.no_grad():
        for layer in head.scores.values():
            layer.weight.mul_(20)
        found = head([maps])
        features = head.across([maps])
        assert features.shape == (2, 3, 16, 24)
        along = head.along[2](head.along[1](head.along[0](maps.mean(dim=(2, 3)))))
    assert found.shape == (2, 5, 3)
    for b in range(2):
        for n in range(5):
            lines = {
                'x': [features[b, :, :, j].mean(dim=1) for j in range(24)],
                'y': [features[b, :, i].mean(dim=1) for i in range(16)],
                'z': [along[b, [c * 7 + d for c in range(3)]] for d in range(7)],
            }
            for axis, (name, line) in enumerate(lines.items()):
                layer = head.scores[name]
                scores = [float(layer.weight[n, :, 0] @ cell + layer.bias[n]) for cell in line]
                shares = torch.tensor(scores).exp()
                place = sum(j * float(s) for j, s in enumerate(shares)) / float(shares.sum())
                assert float(found[b, n, axis]) == pytest.approx(place, abs=1e-3)
