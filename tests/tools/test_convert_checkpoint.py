import runpy
from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmpose.registry import MODELS

from hsjp_mm.checkpoint import read_checkpoint
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/convert_checkpoint.py'))['main']


@pytest.fixture
def release(tmp_path) -> Path:
    """A plain associative-embedding network on a small HRNet, named as the authors name it."""
    backbone = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny
    state = MODELS.build(backbone).state_dict()
    state['final_layers.0.weight'] = torch.rand(6, 16, 1, 1)
    state['final_layers.0.bias'] = torch.rand(6)
    torch.save(dict(state), tmp_path / 'old.pth')
    return tmp_path / 'old.pth'


def test_converts_and_says_what_it_found(release, tmp_path, capsys):
    assert main([str(release), '--out', str(tmp_path / 'new.pth')]) == 0
    output = capsys.readouterr().out
    assert 'new.pth' in output
    assert 'associative embedding on HRNet-W16 with 3 keypoints' in output
    old, new = read_checkpoint(release), read_checkpoint(tmp_path / 'new.pth')['state_dict']
    assert torch.equal(new['head.final_layer.weight'], old['final_layers.0.weight'])
    assert len(new) == len(old)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['nowhere.pth', '--out', 'new.pth'], 'nowhere.pth'),
        (['{release}', '--out', 'new.txt'], "--out='new.txt' must end in .pth"),
        (['{broken}', '--out', '{folder}/new.pth'], 'conv2.weight'),
        (['{code}', '{folder}/new.pth'], 'PosixPath'),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(arguments, message, release, tmp_path, capsys):
    state = read_checkpoint(release)
    torch.save({**state, 'path': Path('a')}, tmp_path / 'code.pth')
    del state['conv2.weight']
    torch.save(state, tmp_path / 'broken.pth')
    files = dict(release=release, broken=tmp_path / 'broken.pth', code=tmp_path / 'code.pth')
    assert main([argument.format(folder=tmp_path, **files) for argument in arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'new.pth').exists()
