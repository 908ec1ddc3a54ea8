"""The puzzle browser writes pictures of the trained network's answers."""

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.helpers import ROOT

DEMO = ROOT / 'configs/demo'
main = runpy.run_path(str(ROOT / 'tools/browse_puzzles.py'))['main']


def browse(config: str, coco: Path, out: Path, *options) -> None:
    """Run the tool on the tiny data set."""
    pointed = [
        f'{split}_dataloader.dataset.{key}={value}'
        for split in ('train', 'val')
        for key, value in (
            ('data_root', coco), ('ann_file', 'boxes.json'), ('data_prefix.img', 'images')
        )
    ]  # fmt: skip
    arguments = [DEMO / config, *options, '--out', out, '--cfg-options', *pointed]
    assert main([str(argument) for argument in arguments]) == 0


@pytest.mark.slow
def test_pictures_of_both_splits(tmp_path, tiny_coco, make_model, capsys):
    model = make_model(grid=3, input_size=(96, 96))
    weights = tmp_path / 'model.pth'
    torch.save({'state_dict': model.state_dict()}, weights)
    config, out = 'hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py', tmp_path / 'out'
    browse(config, tiny_coco, out, weights, '--num', '2', '--split', 'train')
    browse(config, tiny_coco, out, weights, '--num', '2')
    assert f'{out}/val_1.png: instance 12 of {tiny_coco}/images/1.png' in capsys.readouterr().out
    names = sorted(path.name for path in out.iterdir())
    assert names == ['train_0.png', 'train_1.png', 'val_0.png', 'val_1.png']
    board = cv2.imread(str(out / 'val_0.png'))
    assert board.shape[1] > 5 * board.shape[0] and board.std() > 20


@pytest.mark.slow
def test_jigclu_on_one_board(tmp_path, tiny_coco, capsys):
    config = 'jigclu_hrnet-tiny_1xb32-1000i_toy-96x96.py'
    browse(config, tiny_coco, tmp_path, '--num', '4')
    assert f'{tmp_path}/val_0.png: instances 11, 12, 14, 15\n' in capsys.readouterr().out
    browse(config, tiny_coco, tmp_path, '--num', '4', '--split', 'train')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['train_0.png', 'val_0.png']
    val, train = (cv2.imread(str(tmp_path / f'{split}_0.png')) for split in ('val', 'train'))
    assert val.shape == train.shape
    assert not np.array_equal(val, train)  # augmented at random


def test_mistakes_are_one_sentence_and_status_2(tmp_path, capsys):
    hsjp = str(DEMO / 'hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py')
    other = tmp_path / 'other.pth'
    torch.save({'state_dict': {'backbone.conv1.weight': torch.zeros(1)}}, other)
    (tmp_path / 'own.py').write_text(
        f"_base_ = ['{hsjp}']\nval_dataloader = val_cfg = val_evaluator = None\n"
    )
    fine_tuning = str(DEMO / 'td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py')
    for arguments, message in (
        (
            [str(tmp_path / 'own.py')],
            'has no val_dataloader, or None there; is --split train meant',
        ),
        ([fine_tuning], 'is of no pretraining: TopdownPoseEstimator'),
        ([hsjp, str(other)], 'other.pth is no checkpoint of this model: Error(s) in loading'),
        ([hsjp, 'no.pth'], 'no.pth'),
        ([str(DEMO)], 'is a folder'),
        ([hsjp, '--num', '0'], '--num=0 must be at least 1'),
    ):
        assert main([*arguments, '--out', str(tmp_path / 'out')]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
