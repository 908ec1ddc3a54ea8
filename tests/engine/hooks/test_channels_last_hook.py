from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from hsjp_mm.engine import ChannelsLastHook
from tests.helpers import ROOT

HSJP = 'configs/demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py'


def build() -> torch.nn.Module:
    torch.manual_seed(0)
    return MODELS.build(Config.fromfile(ROOT / HSJP).model)


def is_last(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


def convert(model: torch.nn.Module) -> None:
    ChannelsLastHook().before_run(SimpleNamespace(model=model))


@pytest.mark.parametrize('wrap', [lambda model: model, torch.nn.DataParallel])
def test_weights_and_maps_keep_the_channels_of_a_pixel_together(wrap):
    model = build()
    crops = torch.randn(2, 3, 96, 96)
    assert not is_last(model.backbone(crops)[-1])
    convert(wrap(model))
    kernels = [p for p in model.parameters() if p.ndim == 4]
    assert len(kernels) > 30 and all(map(is_last, kernels))
    assert is_last(model.backbone(crops)[-1])


def test_losses_and_gradients_are_the_same_but_for_rounding():
    found = []
    for last in (False, True):
        model = build().double()
        if last:
            convert(model)
        torch.manual_seed(1)
        loss = model.loss(torch.randn(2, 3, 96, 96, dtype=torch.float64))['loss_puzzle']
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-12)


def test_weights_that_are_loaded_come_as_they_were_and_keep_the_format():
    model, other = build(), build()
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter)
    convert(model)
    model.load_state_dict(other.state_dict())
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two) and (one.ndim != 4 or is_last(one))
