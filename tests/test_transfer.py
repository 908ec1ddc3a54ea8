"""From a pretraining run to a stock MMPose model that starts from it, trains and is evaluated."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[1]
COCO = ROOT / '../shared/data/coco_mini'
SMALL = dict(num_workers=0, persistent_workers=False)


def run(cfg: Config, work_dir: Path) -> Runner:
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.name
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def pretraining(tmp_path: Path) -> Config:
    cfg = Config.fromfile(ROOT / 'configs/hsjp/hsjp_res50_4xb64-240e_coco-224x224.py')
    cfg.merge_from_dict(
        {
            'model.backbone.depth': 18,
            'model.head.in_channels': 512,
            'model.grid': 2,
            'train_cfg': dict(max_epochs=1, val_interval=1),
        }
    )
    for split in ('train', 'val'):
        loader = cfg[f'{split}_dataloader']
        loader.update(SMALL, batch_size=4)
        loader.dataset.update(data_root=str(COCO), num_samples=4)
    return cfg


def finetuning(checkpoint: str) -> Config:
    cfg = Config.fromfile(
        ROOT / 'configs/topdown_heatmap/coco/td-hm_res50_hsjp-pre-8xb64-210e_coco-256x192.py'
    )
    cfg.merge_from_dict(
        {
            'model.backbone.depth': 18,
            'model.head.in_channels': 512,
            'model.backbone.init_cfg.checkpoint': checkpoint,
            'train_cfg': dict(max_epochs=1, val_interval=1),
            'val_evaluator.ann_file': str(COCO / 'annotations/person_keypoints_val2017.json'),
        }
    )
    for split in ('train', 'val'):
        loader = cfg[f'{split}_dataloader']
        loader.update(SMALL, batch_size=4)
        loader.dataset.update(data_root=str(COCO), bbox_file=None)
    cfg.train_dataloader.dataset.indices = 4
    return cfg


@pytest.mark.skipif(not COCO.is_dir(), reason=f'{COCO} is not there')
def test_from_pretraining_to_a_stock_top_down_model(tmp_path, capfd):
    run(pretraining(tmp_path), tmp_path / 'hsjp')
    checkpoint = tmp_path / 'hsjp/epoch_1.pth'
    pretrained = torch.load(checkpoint)['state_dict']

    cfg = finetuning(str(checkpoint))
    cfg.work_dir = str(tmp_path / 'started')
    started = Runner.from_cfg(cfg)
    started.model.init_weights()
    for name, value in started.model.backbone.state_dict().items():
        assert torch.equal(value, pretrained[f'backbone.{name}']), name

    capfd.readouterr()
    runner = run(finetuning(str(checkpoint)), tmp_path / 'finetuned')
    printed = ''.join(capfd.readouterr())
    assert 'backbone: 120 of 120 tensors, 11.2 M of 11.2 M parameters' in printed
    moved = runner.model.backbone.state_dict()['conv1.weight']
    assert not torch.equal(moved, pretrained['backbone.conv1.weight'])
    assert runner.message_hub.get_scalar('val/coco/AP').current() >= 0
