from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, OptimWrapper, build_optim_wrapper
from torch import nn

from hsjp_mm.engine import FixedRateHook


def make_runner(**paramwise) -> SimpleNamespace:
    model = nn.ModuleDict({'backbone': nn.Linear(1, 1), 'predictor': nn.Linear(1, 1)})
    config = dict(optimizer=dict(type='SGD', lr=0.4), paramwise_cfg=paramwise)
    return SimpleNamespace(optim_wrapper=build_optim_wrapper(model, config))


def rates(wrapper: OptimWrapper) -> set[tuple[bool, float]]:
    return {(bool(group.get('fix_lr')), round(group['lr'], 9)) for group in wrapper.param_groups}


def test_the_marked_rate_stays_and_others_follow_the_schedule():
    runner = make_runner(custom_keys={'predictor': dict(fix_lr=True)})
    schedule = CosineAnnealingLR(runner.optim_wrapper, T_max=4)
    hook = FixedRateHook()
    hook.before_train(runner)
    falling = []
    for iteration in range(4):
        hook.before_train_iter(runner, iteration)
        found = dict(rates(runner.optim_wrapper))
        assert found[True] == 0.4
        falling.append(found[False])
        for parameter in runner.optim_wrapper.optimizer.param_groups[0]['params']:
            parameter.grad = torch.zeros_like(parameter)
        runner.optim_wrapper.step()
        schedule.step()
    assert falling == sorted(falling, reverse=True) and falling[-1] < 0.1


def test_nothing_to_keep_is_an_error():
    with pytest.raises(ValueError, match=r'custom_keys must mark a parameter by fix_lr=True'):
        FixedRateHook().before_train(make_runner())
