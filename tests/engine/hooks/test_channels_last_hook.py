from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
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
    ChannelsLastHook().before_train(SimpleNamespace(model=model))


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


def test_weights_are_drawn_as_ever(tmp_path):
    """torch fills a tensor of this format in another order, so the hook waits for it."""
    weights = []
    for hooks in ([], [ChannelsLastHook()]):
        cfg = Config.fromfile(ROOT / HSJP)
        cfg.model.backbone = dict(type='ResNet', depth=18, strides=(1, 1, 1, 1))
        cfg.model.head.in_channels = 512
        runner = Runner(
            cfg.model, str(tmp_path / str(len(hooks))), randomness=dict(seed=3),
            experiment_name=f'{tmp_path.name}{len(hooks)}', default_scope='mmpose',
        )  # fmt: skip
        for hook in hooks:
            hook.before_run(runner)
        runner._init_model_weights()
        for hook in hooks:
            hook.before_train(runner)
        weights.append(runner.model.state_dict())
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())
    assert is_last(weights[1]['backbone.layer1.0.conv1.weight'])
