import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from tests.helpers import ROOT

OPTIMIZER = dict(type='mmpretrain.LARS', lr=0.3, momentum=0.9, weight_decay=0.1)


@pytest.fixture
def hrnet():
    pytest.importorskip('mmpretrain')
    init_default_scope('mmpose')
    return MODELS.build(Config.fromfile(f'{ROOT}/configs/_base_/hrnet-tiny.py').hrnet_tiny)


def test_norms_and_biases_are_left_alone_whatever_they_are_called(hrnet):
    wrapper = build_optim_wrapper(
        hrnet, dict(constructor='hsjp_mm.LARSConstructor', optimizer=OPTIMIZER)
    )
    norms = [m for m in hrnet.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    vectors = {id(parameter) for norm in norms for parameter in norm.parameters()}
    vectors |= {id(p) for name, p in hrnet.named_parameters() if name.endswith('bias')}
    seen = set()
    for group in wrapper.optimizer.param_groups:
        for parameter in group['params']:
            seen.add(id(parameter))
            alone = id(parameter) in vectors
            assert bool(group.get('lars_exclude')) == alone
            assert group['weight_decay'] == (0 if alone else 0.1)
    assert seen == {id(parameter) for parameter in hrnet.parameters()}


def test_a_step_moves_a_norm_by_its_plain_gradient(hrnet):
    wrapper = build_optim_wrapper(
        hrnet, dict(constructor='hsjp_mm.LARSConstructor', optimizer=OPTIMIZER)
    )
    norm = hrnet.transition1[0][1].weight
    before = norm.detach().clone()
    for parameter in hrnet.parameters():
        parameter.grad = torch.ones_like(parameter)
    wrapper.step()
    torch.testing.assert_close(norm.detach(), before - 0.3)
