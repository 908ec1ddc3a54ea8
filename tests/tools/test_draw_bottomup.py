"""The tool draws what a checkpoint makes of image files, here at several scales."""

import runpy
import shutil
from pathlib import Path

import cv2
import pytest
import torch
from mmengine import Config
from mmpose.registry import MODELS

from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/draw_bottomup.py'))['main']
CONFIG = f"""
_base_ = [
    '{ROOT}/configs/higherhrnet/coco/higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py',
    '{ROOT}/configs/_base_/hrnet-tiny.py',
]
model = dict(
    type='hsjp_mm.MultiscalePoseEstimator',
    backbone=dict(_delete_=True, **_base_.hrnet_tiny),
    head=dict(in_channels=16),
    test_cfg=dict(multiscale_test=True),
)
pipeline = [
    dict(type='LoadImage'),
    dict(type='hsjp_mm.BottomupResize', input_size=(128, 128), aug_scales=[0.5, 2]),
    dict(type='hsjp_mm.PackImagePyramid'),
]
test_dataloader = dict(dataset=dict(pipeline=pipeline))
"""


@pytest.fixture
def model_files(tmp_path) -> tuple[Path, Path]:
    """A config and a checkpoint of a tiny network."""
    config, weights = tmp_path / 'config.py', tmp_path / 'model.pth'
    config.write_text(CONFIG)
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    torch.save({'state_dict': model.state_dict()}, weights)
    return config, weights


def draw(*args) -> int:
    return main([str(argument) for argument in args])


@pytest.mark.slow
def test_a_board_for_each_image(model_files, tiny_coco, tmp_path, capsys):
    images = [tiny_coco / 'images/1.png', tiny_coco / 'images/2.png']
    out = tmp_path / 'out'
    draw(*model_files, *images, '--out', out)
    assert capsys.readouterr().out.split() == [f'{out}/1.png', f'{out}/2.png']
    landscape, portrait = (cv2.imread(str(out / f'{i}.png')) for i in (1, 2))
    assert landscape.shape[1] > landscape.shape[0] and portrait.shape[1] < portrait.shape[0]
    assert landscape.std() > 20 and portrait.std() > 20


@pytest.mark.slow
def test_folders_keep_their_subfolders(model_files, tiny_coco, tmp_path, capsys):
    folder, out = tmp_path / 'photos', tmp_path / 'out'
    for name in ('a', 'b/c'):
        (folder / name).mkdir(parents=True)
        shutil.copy(tiny_coco / 'images/1.png', folder / name / '1.png')
    assert draw(*model_files, folder, '--out', out) == 0
    assert capsys.readouterr().out.split() == [f'{out}/a/1.png', f'{out}/b/c/1.png']


def test_mistakes_are_one_sentence_and_status_2(model_files, tiny_coco, tmp_path, capsys):
    for name in ('1.png', '1.jpg'):
        shutil.copy(tiny_coco / 'images/1.png', tmp_path / name)
    hsjp = ROOT / 'configs/demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py'
    config, weights = model_files
    for arguments, message in (
        ((config, weights, tmp_path / '1.png', tmp_path / '1.jpg'), '1.png and '),
        ((config, weights, tmp_path / '1.png', '--out', tmp_path), 'must be another folder'),
        ((config, weights, tmp_path / 'no.png'), "no.png' does not exist"),
        ((config, weights, tmp_path / '1.png', '--device', 'foo'), "--device='foo' cannot be"),
        ((config, weights, config), 'is no image'),
        ((hsjp, weights, tmp_path / '1.png'), 'must have a hsjp_mm.HigherHRNetHead'),
    ):
        assert draw(*arguments) == 2
        assert message in capsys.readouterr().err
