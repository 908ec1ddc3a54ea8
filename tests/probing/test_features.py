"""Features of a backbone: the last map, averaged."""

import pytest
import torch
from mmengine import Config

from hsjp_mm.probing.features import build_backbone, pooled


def test_pooled_averages_the_last_map():
    maps = [torch.full((2, 3, 4, 4), 9.0), torch.arange(12.0).reshape(2, 1, 2, 3)]
    features = pooled(lambda images: tuple(maps), torch.zeros(2, 3, 8, 8))
    torch.testing.assert_close(features, torch.tensor([[2.5], [8.5]]))


def test_backbone_without_maps():
    with pytest.raises(ValueError, match=r'must be a map \(B, C, H, W\), but is \(2, 5\)'):
        pooled(lambda images: torch.zeros(2, 5), torch.zeros(2, 3, 8, 8))


def test_config_without_backbone():
    with pytest.raises(ValueError, match=r'has no model\.backbone'):
        build_backbone(Config(dict(model=dict(type='X'))), None)
