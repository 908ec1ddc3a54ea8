"""From a pretraining run to a stock MMPose model that starts from it, trains and is evaluated."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner

from hsjp_mm.checkpoint import export_backbone, load_backbone
from tests.helpers import ROOT, SHARED

COCO = SHARED / 'coco_mini'
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


def on_coco_mini(config: str) -> Config:
    """A demo config on the shared data set, for two iterations of a few persons."""
    cfg = Config.fromfile(ROOT / f'configs/demo/{config}.py')
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    for split in ('train', 'val'):
        loader = cfg[f'{split}_dataloader']
        loader.update(SMALL, batch_size=4)
        loader.dataset.update(
            data_root=str(COCO),
            ann_file=f'annotations/person_keypoints_{split}2017.json',
            data_prefix=dict(img=f'{split}2017/'),
        )
    return cfg


needs_coco_mini = pytest.mark.skipif(not COCO.is_dir(), reason=f'{COCO} is not there')


@pytest.mark.slow
@needs_coco_mini
def test_from_jigclu_through_the_exported_backbone_to_poses_and_detection(tmp_path, capfd):
    cfg = on_coco_mini('jigclu_hrnet-tiny_1xb32-1000i_toy-96x96')
    cfg.val_dataloader.dataset.num_samples = 6
    pretext = run(cfg, tmp_path / 'jigclu')
    [best] = (tmp_path / 'jigclu').glob('best_jigclu_retrieval_iter_2.pth')
    backbone, meta = export_backbone(best, tmp_path / 'backbone.safetensors')
    retrieval = pretext.message_hub.get_scalar('val/jigclu/retrieval').current()
    assert meta['validation']['jigclu/retrieval'] == pytest.approx(retrieval)
    assert (meta['grid'], meta['iter']) == (2, 2)
    pretrained = pretext.model.backbone.state_dict()

    cfg = on_coco_mini('td-hm_hrnet-tiny_jigclu-pre-1xb16-400i_toy-128x96')
    cfg.model.backbone.init_cfg.checkpoint = str(backbone)
    cfg.val_evaluator.ann_file = str(COCO / 'annotations/person_keypoints_val2017.json')
    capfd.readouterr()
    finetuned = run(cfg, tmp_path / 'poses')
    printed = ''.join(capfd.readouterr())
    names = finetuned.model.backbone.state_dict().keys()
    unused = [name for name in pretrained if name not in names]
    # MMPose's top-down HRNet has no last fuse layers to the lower resolutions
    assert all(re.match(r'stage4\.0\.fuse_layers\.[123]\.', name) for name in unused)
    assert f'backbone: {len(names)} of {len(names)} tensors' in printed
    assert f'; {len(unused)} of the file unused: stage4.0.fuse_layers.1.' in printed
    assert finetuned.message_hub.get_scalar('val/coco/AP').current() >= 0

    # MMDetection's has them
    tiny = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny
    detector = MODELS.build({**tiny, 'type': 'mmdet.HRNet'})
    coverage = load_backbone(detector, backbone)
    assert (len(coverage.matched), coverage.unexpected) == (len(pretrained), [])


@pytest.mark.slow
@needs_coco_mini
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
