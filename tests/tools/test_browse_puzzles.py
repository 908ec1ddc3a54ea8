"""The puzzle browser writes pictures of the trained network's answers."""

import subprocess
import sys
from pathlib import Path

import cv2
import torch

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py'


def test_pictures_of_both_splits(tmp_path, tiny_coco, make_model):
    model = make_model(grid=3, input_size=(96, 96))
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'model.pth')
    options = [
        f'{split}_dataloader.dataset.{key}={value}'
        for split in ('train', 'val')
        for key, value in (
            ('data_root', tiny_coco), ('ann_file', 'boxes.json'), ('data_prefix.img', 'images')
        )
    ]  # fmt: skip
    for split in ('train', 'val'):
        subprocess.run(
            [
                sys.executable, ROOT / 'tools/browse_puzzles.py', CONFIG, tmp_path / 'model.pth',
                '--out', tmp_path / 'out', '--num', '2', '--split', split,
                '--cfg-options', *options,
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == ['train_0.png', 'train_1.png', 'val_0.png', 'val_1.png']
    board = cv2.imread(str(tmp_path / 'out/val_0.png'))
    assert board.shape[1] > 5 * board.shape[0] and board.std() > 20
