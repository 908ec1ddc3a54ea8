"""What several tests of the comparison start from: the demo's configs on a few drawn people."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from hsjp_mm.datasets.toy import render
from tests.helpers import ROOT

DEMO = ROOT / 'configs/demo'


@pytest.fixture(scope='session')
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('toy') / 'data'
    render(folder, num_train=8, num_val=2)
    return folder


@pytest.fixture
def config(toy) -> Config:
    """The demo's fine-tuning of 20 iterations."""
    config = Config.fromfile(DEMO / 'td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py')
    data = f'{toy}/annotations/person_keypoints_val.json'
    config.merge_from_dict(
        {
            'train_dataloader.dataset.data_root': f'{toy}/',
            'train_dataloader.dataset.indices': None,
            'train_dataloader.batch_size': 3,
            'val_dataloader.dataset.data_root': f'{toy}/',
            'val_evaluator.ann_file': data,
            'train_cfg.max_iters': 20,
        }
    )
    return config


@pytest.fixture
def weights(config, tmp_path) -> str:
    path = tmp_path / 'weights.pth'
    torch.manual_seed(0)
    torch.save(MODELS.build(config.model.backbone).state_dict(), path)
    return str(path)


@pytest.fixture
def pretraining(toy) -> Config:
    """The demo's pretraining by HSJP, of 20 iterations."""
    config = Config.fromfile(DEMO / 'hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py')
    config.merge_from_dict(
        {
            'train_dataloader.dataset.data_root': f'{toy}/',
            'train_dataloader.batch_size': 3,
            'val_dataloader.dataset.data_root': f'{toy}/',
            'train_cfg.max_iters': 20,
        }
    )
    return config
