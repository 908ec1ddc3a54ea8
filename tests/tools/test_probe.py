import json
import runpy

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpose.models.backbones import ResNet
from PIL import Image

from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/probe.py'))['main']

CONFIG = """
default_scope = 'mmpose'
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[128.] * 3, std=[64.] * 3, bgr_to_rgb=True),
    backbone=dict(
        type='ResNet', depth=18, base_channels=8, stem_channels=8,
        init_cfg=dict(type='Pretrained', checkpoint='https://no.where/x.pth')))
"""


@pytest.fixture
def run(tmp_path):
    """Run the tool on six classes of plain colors."""
    rng = np.random.RandomState(0)
    colors = rng.randint(0, 255, (6, 3))
    for part, number in (('train', 4), ('val', 2)):
        for name, color in enumerate(colors):
            folder = tmp_path / f'data/{part}/class{name}'
            folder.mkdir(parents=True)
            for index in range(number):
                image = np.clip(color + rng.normal(0, 4, (40, 33, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(image).save(folder / f'{index}.png')
    (tmp_path / 'c.py').write_text(CONFIG)
    torch.manual_seed(0)
    state = ResNet(18, base_channels=8, stem_channels=8).state_dict()
    state = {f'backbone.{name}': value for name, value in state.items()}
    torch.save({'state_dict': state}, tmp_path / 'x.pth')

    def run(*options, checkpoint=str(tmp_path / 'x.pth'), out='probe.json'):
        places = [str(tmp_path / 'c.py'), checkpoint, str(tmp_path / 'data')]
        common = ['--size', '32', '--workers', '0', '--out', str(tmp_path / out)]
        with DefaultScope.overwrite_default_scope('mmpose'):
            status = main([*places, *common, *options])
        path = tmp_path / out
        return status, json.loads(path.read_text()) if path.exists() else None

    return run


def test_json_and_line(run, capsys):
    status, result = run('--protocol', 'knn', out='new/probe.json')
    assert status == 0
    assert (result['protocol'], result['classes'], result['top1']) == ('knn', 6, 1)
    assert result['top5'] == 1
    line = capsys.readouterr().out.splitlines()[-1]
    for text in (
        'knn: top-1 100.0%, top-5 100.0% (chance 16.7%)',
        '24 (100.0% of the labels)',
        '120 of 120 tensors',
        'new/',
    ):
        assert text in line


def test_trained_protocols_take_their_options(run):
    options = ['--epochs', '2', '--batch-size', '6', '--labels', '0.5', '--seed', '1', '--lr', '.1']
    for protocol, lr_last_layer in (('linear', None), ('finetune', 0.2 * 6 / 256)):
        status, result = run('--protocol', protocol, *options, checkpoint='none')
        assert status == 0
        assert result['coverage'] == 'backbone: random weights'
        assert result['train_images'] == 12
        used = [result[name] for name in ('epochs', 'batch_size', 'seed', 'lr', 'lr_last_layer')]
        assert used == [2, 6, 1, 0.1, lr_last_layer]


def test_cfg_options(run, capsys):
    assert run('--protocol', 'knn', '--cfg-options', 'model.backbone.depth=34') == (2, None)
    assert 'does not fit' in capsys.readouterr().err


@pytest.mark.parametrize(
    'options, message',
    [
        (['--protocol', 'linear', '--labels', '2'], '--labels=2.0 must be in (0, 1]'),
        (['--protocol', 'knn', '--size', '16'], '--size=16'),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(options, message, run, capsys):
    assert run(*options) == (2, None)
    assert message in capsys.readouterr().err


def test_unknown_protocol(run, capsys):
    with pytest.raises(SystemExit):
        run('--protocol', 'ridge')
    assert "invalid choice: 'ridge'" in capsys.readouterr().err
