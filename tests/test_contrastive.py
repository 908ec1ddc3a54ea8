"""Methods that compare views, on photographs: trained, exported, handed on to a stock model."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner

from hsjp_mm.checkpoint import export_backbone
from tests.helpers import ROOT, SHARED, run_pair

COCO = SHARED / 'coco_mini'
AVERAGED = ('byol', 'detcon-b', 'mocov2')
METHODS = (*AVERAGED, 'detcon-s', 'jointcon', 'peclr', 'simclr', 'simsiam', 'swav')

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
            **(dict(indices=8) if method == 'jointcon' else dict(num_samples=8)),
        )
    cfg.work_dir = str(folder / method)
    cfg.experiment_name = cfg.visualizer.name = f'{folder.name}-{method}'
    return cfg


@pytest.mark.parametrize('method', METHODS)
def test_from_photographs_to_the_backbone_of_a_stock_model(method, tmp_path, capfd):
    runner = Runner.from_cfg(config_of(method, tmp_path))
    runner.train()
    scalars = {name: value.current() for name, value in runner.message_hub.log_scalars.items()}
    measure = runner.model.save_best
    assert 0 <= scalars[f'val/{measure}'] <= 1
    if measure == 'views/retrieval':
        assert scalars['val/views/retrieval_chance'] == pytest.approx(1 / 15)
    pictures = list((tmp_path / method).rglob('vis_image/*.png'))
    assert pictures
    [best] = (tmp_path / method).glob(f'best_{measure.replace("/", "_")}_iter_2.pth')

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
        average = checkpoint == best and method in AVERAGED
        assert ("also complete under 'target.module.backbone.'" in printed) == average, printed


RECORDER = """
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RankRecorder(Hook):
    def __init__(self):
        self.ids = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.ids += [int(sample.metainfo['id']) for sample in data_batch['data_samples']]

    def after_train(self, runner):
        state = {'ids': self.ids, 'state': runner.model.module.state_dict()}
        torch.save(state, Path(runner.work_dir, f'rank_{runner.rank}.pth'))
"""


def test_two_processes_fill_one_queue(tmp_path):
    """Keys of all images are in the queue of both, which SyncBuffersHook averages, too."""
    cfg = config_of('mocov2', tmp_path)
    cfg.model.head.queue_length = 20
    cfg.train_dataloader.dataset.num_samples = 32
    one, other = run_pair(cfg, RECORDER, tmp_path)
    assert set(one['ids']).isdisjoint(other['ids'])
    assert one['state'].keys() == other['state'].keys()
    for name, value in one['state'].items():
        assert torch.equal(value, other['state'][name]), name
    # two steps of 8 images in each of two processes, in a ring of 20
    assert int(one['state']['head.place']) == 32 % 20
    assert int(one['state']['target.steps']) == 2
