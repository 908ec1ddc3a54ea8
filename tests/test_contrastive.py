"""Methods that compare views, on photographs: trained, exported, handed on to a stock model."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner

from hsjp_mm.checkpoint import export_backbone
from tests.helpers import ROOT, SHARED

COCO = SHARED / 'coco_mini'
METHODS = ('byol', 'mocov2', 'peclr', 'simclr', 'simsiam', 'swav')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not COCO.is_dir(), reason=f'{COCO} is not there'),
]


def config_of(method: str, folder) -> Config:
    """Two iterations of the method's small config on a few persons of COCO."""
    cfg = Config.fromfile(ROOT / f'configs/demo/{method}_hrnet-tiny_1xb32-1000i_toy-96x96.py')
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    for split in ('train', 'val'):
        loader = cfg[f'{split}_dataloader']
        loader.update(batch_size=8, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(COCO),
            ann_file=f'annotations/person_keypoints_{split}2017.json',
            data_prefix=dict(img=f'{split}2017/'),
            num_samples=8,
        )
    cfg.work_dir = str(folder / method)
    cfg.experiment_name = cfg.visualizer.name = f'{folder.name}-{method}'
    return cfg


@pytest.mark.parametrize('method', METHODS)
def test_from_photographs_to_the_backbone_of_a_stock_model(method, tmp_path, capfd):
    runner = Runner.from_cfg(config_of(method, tmp_path))
    runner.train()
    scalars = {name: value.current() for name, value in runner.message_hub.log_scalars.items()}
    assert 0 <= scalars['val/views/retrieval'] <= 1
    assert scalars['val/views/retrieval_chance'] == pytest.approx(1 / 15)
    pictures = list((tmp_path / method).rglob('vis_image/*.png'))
    assert pictures
    [best] = (tmp_path / method).glob('best_views_retrieval_iter_2.pth')

    exported, _ = export_backbone(best, tmp_path / 'backbone.safetensors')
    stock = Config.fromfile(
        ROOT / 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py'
    ).model
    stock.backbone.extra.stage4.multiscale_output = True
    for checkpoint in (best, exported):
        stock.backbone.init_cfg = dict(type='hsjp_mm.PretextInit', checkpoint=str(checkpoint))
        model = MODELS.build(stock)
        capfd.readouterr()
        model.init_weights()
        trained = runner.model.backbone.state_dict()
        for name, value in model.backbone.state_dict().items():
            assert torch.equal(value, trained[name]), name
        printed = ''.join(capfd.readouterr())
        # of two complete networks the trained one is taken, and the other one named
        average = checkpoint == best and method in ('byol', 'mocov2')
        assert ("also complete under 'target.module.backbone.'" in printed) == average, printed
