import json
import runpy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpose.models.backbones import HRNet

from hsjp_mm.datasets.toy import render
from tests.helpers import ROOT

CONFIG = ROOT / 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py'
main = runpy.run_path(str(ROOT / 'tools/probe_pose.py'))['main']


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Rendered people, and two checkpoints of other random weights, one of six channels."""
    folder = tmp_path_factory.mktemp('probe')
    render(folder / 'toy', num_train=6, num_val=4, image_size=(160, 120))
    backbone = {**Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny}
    backbone.pop('type')
    for seed, channels in ((1, 3), (2, 6)):
        torch.manual_seed(seed)
        network = HRNet(**{**backbone, 'in_channels': channels})
        state = {f'backbone.{name}': value for name, value in network.state_dict().items()}
        state['puzzle'] = torch.tensor([3, channels == 6])
        torch.save({'state_dict': state}, folder / f'epoch_{seed}.pth')
    return folder


@pytest.fixture
def run(folder, tmp_path):
    """Run the tool on checkpoints of the folder."""

    def run(*checkpoints: str, options: tuple = (), data: str = 'toy') -> tuple[int, dict | None]:
        out = tmp_path / 'new/probe.json'
        status = main(
            [
                str(CONFIG), *(str(folder / name) for name in checkpoints),
                '--persons', '6', '--iterations', '5', '--out', str(out), *options,
                '--cfg-options',
                f'train_dataloader.dataset.data_root={folder / data}',
                f'val_dataloader.dataset.data_root={folder / data}',
                f'val_evaluator.ann_file={folder}/toy/annotations/person_keypoints_val.json',
            ]
        )  # fmt: skip
        return status, json.loads(out.read_text()) if out.exists() else None

    return run


@pytest.mark.slow
def test_each_checkpoint_beside_random_weights(run, capsys):
    status, result = run('epoch_1.pth', 'epoch_2.pth')
    assert status == 0
    first, second = result['checkpoints']
    floor = result['random_weights']['figures']
    assert result['metric'] == 'coco/AP' and result['labelled_persons'] >= 6
    assert set(floor) == {'AP', 'OKS', 'copied_OKS'}
    assert len({row['copied_OKS'] for row in (floor, first['figures'], second['figures'])}) == 3
    assert first['coverage'].startswith('backbone: 234 of 234 tensors')
    assert 'the two halves of its 6-channel stem summed' in second['coverage']
    out = capsys.readouterr().out.splitlines()
    assert f'{result["labelled_persons"]} labelled persons, {result["persons"]} to find' in out[0]
    for row, found in zip(out[-3:-1], (first, second), strict=True):
        value = found['figures']['copied_OKS']
        assert f'{found["checkpoint"]}: AP ' in row
        assert f'copied_OKS {value:.3f} (random weights {floor["copied_OKS"]:.3f})' in row


@pytest.mark.slow
def test_seed_is_that_of_the_random_weights(run):
    floors = [
        run('epoch_1.pth', options=('--seed', seed))[1]['random_weights']['figures']
        for seed in ('0', '0', '1')
    ]
    assert floors[0] == floors[1] != floors[2]


@pytest.mark.parametrize(
    'checkpoint, options, data, message',
    [
        ('nowhere.pth', (), 'toy', 'nowhere.pth'),
        ('epoch_1.pth', ('--persons', '0'), 'toy', '--persons=0 must be at least 1'),
        ('epoch_1.pth', (), 'missing', 'train_dataloader.dataset of the config'),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(run, capsys, checkpoint, options, data, message):
    assert run(checkpoint, options=options, data=data) == (2, None)
    assert message in capsys.readouterr().err


def test_a_pretraining_config_is_told_what_is_wanted(capsys, tmp_path):
    config = ROOT / 'configs/demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py'
    (tmp_path / 'x.pth').touch()
    assert main([str(config), str(tmp_path / 'x.pth'), '--out', str(tmp_path / 'x.json')]) == 2
    assert 'give the top-down config to fine-tune with' in capsys.readouterr().err
