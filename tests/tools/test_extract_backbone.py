import runpy
from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer

from hsjp_mm.checkpoint import read_checkpoint
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/extract_backbone.py'))['main']


@pytest.fixture
def checkpoint(tmp_path):
    state = {
        'backbone.conv1.weight': torch.ones(4, 6, 3, 3).half(),
        'head.conv.weight': torch.ones(1),
        'puzzle': torch.tensor([6, 1]),
    }
    content = {'state_dict': state, 'meta': {'epoch': 240, 'cfg': 'a = 1\nb = 2\n'}}
    torch.save({**content, 'optimizer': {'state': {0: torch.ones(99)}}}, tmp_path / 'x.pth')
    return tmp_path / 'x.pth'


def test_writes_the_backbone_and_says_what_is_known(checkpoint, tmp_path, capsys):
    assert main([str(checkpoint), '--out', str(tmp_path / 'out/y.safetensors')]) == 0
    (path,) = (tmp_path / 'out').iterdir()
    tensors = read_checkpoint(path)
    assert list(tensors) == ['backbone.conv1.weight']
    assert torch.equal(tensors['backbone.conv1.weight'], torch.full((4, 3, 3, 3), 2.0))
    output = capsys.readouterr().out
    for text in (str(path), 'grid: 6', 'unshuffled: 1', 'epoch: 240', 'config: 2 lines'):
        assert text in output
    assert 'validation: not recorded' in output
    assert 'summed' in output


@pytest.mark.parametrize('stage, when', [('val', 'of these weights'), ('train', 'of an earlier')])
def test_prints_all_measures_of_any_pretext(stage, when, checkpoint, tmp_path, capsys):
    content = torch.load(checkpoint, weights_only=False)
    values = {'hsjp/precision': 0.0, 'hsjp/placed': 0.9375, 'mine/solved': 1 / 3}
    scalars = {f'val/{name}': HistoryBuffer([0.1, value], [1, 1]) for name, value in values.items()}
    scalars |= {'val/time': HistoryBuffer([7], [1]), 'train/loss': HistoryBuffer([8], [1])}
    content['message_hub'] = dict(log_scalars=scalars, runtime_info=dict(loop_stage=stage))
    torch.save(content, checkpoint)
    assert main([str(checkpoint), '--out', str(tmp_path / 'y.pth')]) == 0
    output = capsys.readouterr().out
    assert f'validation ({when}' in output
    for text in ('hsjp/precision: 0\n', 'hsjp/placed: 0.9375\n', 'mine/solved: 0.333333\n'):
        assert f'    {text}' in output
    assert 'time' not in output
    assert 'loss' not in output
    assert 'not recorded' not in output


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['nowhere.pth', 'y.pth'], 'nowhere.pth'),
        (['{checkpoint}', 'y.txt'], '.safetensors or .pth'),
        (['{checkpoint}', 'y.pth', '--prefix', 'net.'], "under prefix 'net.'"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(arguments, message, checkpoint, capsys):
    assert main([argument.format(checkpoint=checkpoint) for argument in arguments]) == 2
    assert message in capsys.readouterr().err


def test_trust_is_asked_for(tmp_path, capsys):
    torch.save({'backbone.w': torch.ones(1), 'path': Path('a')}, tmp_path / 'x.pth')
    arguments = [str(tmp_path / 'x.pth'), str(tmp_path / 'y.pth')]
    assert main(arguments) == 2
    assert 'PosixPath' in capsys.readouterr().err
    assert main([*arguments, '--trust']) == 0
