"""The tool draws what a checkpoint makes of image files, here at several scales."""

import runpy
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


def draw(*args) -> None:
    main([str(argument) for argument in args])


@pytest.mark.slow
def test_a_board_for_each_image(model_files, tiny_coco, tmp_path, capsys):
    images = [tiny_coco / 'images/1.png', tiny_coco / 'images/2.png']
    out = tmp_path / 'out'
    draw(*model_files, *images, '--out', out)
    assert capsys.readouterr().out.split() == [f'{out}/1.png', f'{out}/2.png']
    landscape, portrait = (cv2.imread(str(out / f'{i}.png')) for i in (1, 2))
    assert landscape.shape[1] > landscape.shape[0] and portrait.shape[1] < portrait.shape[0]
    assert landscape.std() > 20 and portrait.std() > 20


def test_images_of_one_name_are_refused(model_files, tiny_coco, tmp_path, capsys):
    images = [tiny_coco / 'images/1.png', tmp_path / '1.png']
    with pytest.raises(SystemExit, match='2'):
        draw(*model_files, *images)
    assert 'have the same name' in capsys.readouterr().err
