import runpy
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpose.models.backbones import ResNet

from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/check_init.py'))['main']

CONFIG = """
default_scope = 'mmpose'
model = dict(
    type='TopdownPoseEstimator',
    backbone=dict(
        type='ResNet', depth=50, base_channels=8, stem_channels=8,
        init_cfg=dict(type='Pretrained', checkpoint='https://no.where/x.pth')))
"""


@pytest.fixture
def check(tmp_path):
    """Run the tool on a config with this init_cfg and a file with these tensors."""

    def run(change=lambda state: None, options=(), config=CONFIG):
        state = ResNet(50, base_channels=8, stem_channels=8).state_dict()
        state = {f'backbone.{name}': value for name, value in state.items()}
        change(state)
        torch.save({'state_dict': state}, tmp_path / 'x.pth')
        (tmp_path / 'c.py').write_text(config)
        with DefaultScope.overwrite_default_scope('mmpose'):
            return main([str(tmp_path / 'c.py'), str(tmp_path / 'x.pth'), *options])

    return run


def drop_conv1(state):
    del state['backbone.conv1.weight']


def test_fitting_file(check, capsys):
    assert check() == 0
    output = capsys.readouterr().out
    assert 'backbone: 318 of 318 tensors' in output
    assert "prefix 'backbone.'" in output
    assert output.endswith('fits\n')


def test_missing_tensor(check, capsys):
    assert check(drop_conv1) == 1
    output = capsys.readouterr().out
    assert 'missing (only in the model), 1: conv1.weight' in output
    assert 'does not fit' in output
    assert check(drop_conv1, ['--allow-missing', 'conv1.*']) == 0


def test_settings_of_the_configs_own_pretext_init_count(check):
    init = "init_cfg=dict(type='hsjp_mm.PretextInit', checkpoint='', allow_missing=['conv1.*'])"
    config = CONFIG[: CONFIG.index('init_cfg')] + init + '))\n'
    assert check(drop_conv1, config=config) == 0


def test_other_depth_by_cfg_options(check, capsys):
    assert check(options=['--cfg-options', 'model.backbone.depth=18']) == 1
    assert 'file looks like ResNet-50, the model like ResNet-18' in capsys.readouterr().out


def test_wrong_prefix(check, capsys):
    assert check(options=['--prefix', 'encoder.']) == 2
    assert 'wrong prefix' in capsys.readouterr().err


def test_trust_is_asked_for(check, capsys):
    def add_path(state):
        state['extra'] = Path('a')

    assert check(add_path) == 2
    assert 'PosixPath' in capsys.readouterr().err
    assert check(add_path, ['--trust']) == 0
