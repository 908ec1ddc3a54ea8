"""What `hsjp-mm benchmark step-options` compares, on a batch of four crops."""

import argparse

import pytest
import torch
from mmengine.config import Config
from mmengine.utils import digit_version

from hsjp_mm.benchmarks import step_options
from hsjp_mm.benchmarks.step_options import OPTIONS, count_operations, option_step
from hsjp_mm.engine import BFloat16OptimWrapper
from tests.helpers import ROOT

CONFIG = str(ROOT / 'configs/demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py')
MESH_CONFIG = str(ROOT / 'configs/demo/hmr_hrnet-tiny_1xb16-1200i_toy-96x96.py')


def test_operations_of_both_passes_are_counted():
    layer, rows = torch.nn.Linear(5, 3, bias=False), torch.ones(7, 5)

    def step():
        layer(rows).sum().backward()

    # forward, and the gradient of the weights: 7·5·3 multiplications and as many additions each;
    # the rows need no gradient
    assert count_operations(step) == 2 * (2 * 7 * 5 * 3)


@pytest.fixture
def built(monkeypatch):
    """Models and optimizer wrappers of the steps that are made."""
    found = []
    build = step_options.build_optim_wrapper

    def remember(model, config):
        found.append((model, build(model, config)))
        return found[-1][1]

    monkeypatch.setattr(step_options, 'build_optim_wrapper', remember)
    monkeypatch.setattr(
        step_options,
        'pretext_batch',
        lambda args, cfg: (
            step_options.MODELS.build(cfg.model),
            torch.randn(args.batch, 3, 96, 96),
            [],
        ),
    )
    return found


@pytest.mark.parametrize('name', ['plain', 'channels_last', 'bfloat16', 'fused optimizer'])
@pytest.mark.parametrize('config', [CONFIG, MESH_CONFIG])
@pytest.mark.slow
def test_each_option_changes_what_it_names_and_nothing_else(built, name, config):
    if name == 'fused optimizer' and digit_version(torch.__version__) < digit_version('2.4'):
        pytest.skip('optimizers are fused on CPUs from torch 2.4 on')
    step = option_step(argparse.Namespace(batch=4, side=96, device='cpu'), f'{name}:{config}')
    [(model, wrapper)] = built
    before = model.backbone.conv1.weight.clone()
    step()
    assert not torch.equal(model.backbone.conv1.weight, before)
    memory = model.backbone.conv2.weight.is_contiguous(memory_format=torch.channels_last)
    assert memory == ('channels_last' in OPTIONS[name])
    assert isinstance(wrapper, BFloat16OptimWrapper) == ('bfloat16' in OPTIONS[name])
    assert bool(wrapper.param_groups[0].get('fused')) == ('fused' in OPTIONS[name])


def test_other_models_than_pretrainings_and_mesh_regressors_are_refused():
    stock = Config(dict(model=dict(type='TopdownPoseEstimator')))
    with pytest.raises(ValueError, match='mesh regressor, not a TopdownPoseEstimator'):
        step_options.batch_of(argparse.Namespace(), stock)
    with pytest.raises(ValueError, match='must be a pretraining, not a TopdownPoseEstimator'):
        step_options.pretext_batch(argparse.Namespace(), stock)
