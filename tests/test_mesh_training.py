"""Real runs of mesh regressors, of seconds: the start, two processes, a run that is resumed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.apis import inference_topdown, init_model

from tests.helpers import ROOT, run_pair
from tests.mesh_bodies import write_bodies

pytestmark = pytest.mark.slow

RANK_RECORDER = """
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RankRecorder(Hook):
    '''Save what each process sees, and what it ends with.'''

    priority = 'LOWEST'

    def before_train(self, runner):
        self.ids, self.logs = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.ids += [sample.metainfo['id'] for sample in data_batch['data_samples']]
        self.logs.append({name: value.detach() for name, value in outputs.items()})

    def after_train(self, runner):
        state = runner.model.module.state_dict()
        torch.save(dict(state=state, ids=self.ids, logs=self.logs),
                   f'{runner.work_dir}/rank_{runner.rank}.pth')
"""


class Record(Hook):
    """Keep what each iteration reports."""

    def __init__(self):
        self.logs = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.logs.append({name: float(value) for name, value in outputs.items()})


@pytest.fixture(scope='module')
def bodies(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('mesh') / 'toy'
    write_bodies(folder, 'train', 8)
    write_bodies(folder, 'val', 3, seed=50)
    return folder


def make_config(bodies: Path, folder: Path, head: str = 'pare', iterations: int = 6) -> Config:
    """The demo's config with a narrow backbone and a small head, on a few bodies."""
    cfg = Config.fromfile(ROOT / f'configs/demo/{head}_res18_1xb16-2000i_toy-96x96.py')
    cfg.model.backbone.update(stem_channels=8, base_channels=8)
    cfg.model.head.in_channels = 64
    if head in ('pare', 'i2l-meshnet'):
        cfg.model.head.deconv_out_channels = (8, 8, 8)
    else:
        cfg.model.head.hidden_channels = 256
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'val')):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(bodies),
            data_prefix=dict(img=f'images/{split}', parts=f'parts/{split}'),
            ann_file=f'mesh/{split}.npz',
        )
    cfg.test_dataloader = cfg.val_dataloader
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    cfg.default_hooks.checkpoint.interval = iterations
    cfg.default_hooks.logger.interval = 1
    cfg.param_scheduler[0].milestones = [iterations]
    cfg.randomness = dict(seed=0)
    cfg.work_dir = str(folder / 'work')
    return cfg


def run(cfg: Config, **options) -> tuple[Runner, list[dict[str, float]]]:
    for name, value in options.items():
        cfg[name] = value
    record = Record()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(record)
    runner.train()
    return runner, record.logs


@pytest.mark.parametrize('head', ['pare', 'hmr'])
def test_the_first_hundred_steps_keep_the_body_before_the_camera(head, bodies, tmp_path):
    """Losses stay finite and go down, and the camera's scale stays near its beginning."""
    cfg = make_config(bodies, tmp_path, head, iterations=100)
    cfg.train_dataloader.batch_size = 4
    cfg.optim_wrapper.optimizer.lr = 1e-3
    _, logs = run(cfg)
    assert len(logs) == 100
    for log in logs:
        assert all(np.isfinite(value) for value in log.values()), log
    scales = [log['scale'] for log in logs]
    assert min(scales) > 0.3
    assert max(scales) < 2
    assert ('loss_parts' in logs[0]) == (head == 'pare')
    for name in ('loss', 'loss_keypoints', 'loss_joints', 'mpjpe'):
        first, last = (np.mean([log[name] for log in part]) for part in (logs[:10], logs[-10:]))
        assert last < first, name
    checkpoint = torch.load(next(Path(cfg.work_dir).glob('best_mesh*')), weights_only=False)
    assert not [key for key in checkpoint['state_dict'] if key.startswith('body')]


def test_i2l_meshnet_learns_and_is_measured(bodies, tmp_path):
    cfg = make_config(bodies, tmp_path, 'i2l-meshnet', iterations=60)
    cfg.train_dataloader.batch_size = 4
    cfg.optim_wrapper.optimizer.lr = 1e-3
    runner, logs = run(cfg)
    for log in logs:
        assert all(np.isfinite(value) for value in log.values()), log
    for name in ('loss', 'loss_joints', 'loss_mesh', 'mpjpe'):
        first, last = (np.mean([log[name] for log in part]) for part in (logs[:10], logs[-10:]))
        assert last < first, name
    assert 0 < runner.message_hub.get_scalar('val/mesh/PA-MPJPE').current() < 1000


def test_two_processes_of_i2l_meshnet_end_alike(bodies, tmp_path):
    cfg = make_config(bodies, tmp_path, 'i2l-meshnet', iterations=3)
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg', 'test_dataloader', 'test_evaluator',
                'test_cfg'):  # fmt: skip
        cfg[key] = None
    cfg.default_hooks.checkpoint.save_best = None
    first, second = run_pair(cfg, RANK_RECORDER, tmp_path)
    assert len(set(first['ids'][:4] + second['ids'][:4])) == 8
    for name, value in first['state'].items():
        if 'running' not in name and 'num_batches' not in name:
            assert torch.equal(value, second['state'][name]), name


def test_ema_and_accumulation_go_with_it(bodies, tmp_path):
    cfg = make_config(bodies, tmp_path, iterations=4)
    cfg.custom_hooks.append(dict(type='EMAHook', momentum=0.1, update_buffers=True))
    cfg.optim_wrapper.accumulative_counts = 2
    _, logs = run(cfg)
    assert len(logs) == 4
    saved = torch.load(Path(cfg.work_dir, 'iter_4.pth'), weights_only=False)
    assert any(key.startswith('module.backbone') for key in saved['ema_state_dict'])


@pytest.mark.parametrize('head', ['pare', 'i2l-meshnet'])
def test_a_run_that_is_resumed_ends_as_if_it_had_not_stopped(head, bodies, tmp_path):
    cfg = make_config(bodies, tmp_path / 'whole', head, iterations=6)
    whole, logs = run(cfg)
    cfg = make_config(bodies, tmp_path / 'parts', head, iterations=6)
    cfg.default_hooks.checkpoint.update(interval=3)
    cfg.train_cfg.update(max_iters=3, val_interval=3)
    run(cfg)
    cfg = make_config(bodies, tmp_path / 'parts', head, iterations=6)
    resumed, rest = run(cfg, resume=True)
    assert rest == logs[3:]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_two_processes_share_gradients_and_not_samples(bodies, tmp_path):
    """With one of them without any 3D label: its losses are 0, and nobody waits."""
    labels = dict(np.load(bodies / 'mesh/train.npz'))
    for name in ('has_pose', 'has_shape'):
        labels[name] = np.arange(8) % 2 == 0
    labels['joints'][1::2, :, 3] = 0
    labels['part_map_path'] = np.where(np.arange(8) % 2 == 0, labels['part_map_path'], '')
    np.savez(bodies / 'mesh/half.npz', **labels)
    cfg = make_config(bodies, tmp_path, iterations=4)
    cfg.train_dataloader.dataset.ann_file = 'mesh/half.npz'
    cfg.train_dataloader.update(batch_size=1)
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg', 'test_dataloader', 'test_evaluator',
                'test_cfg'):  # fmt: skip
        cfg[key] = None
    cfg.default_hooks.checkpoint.save_best = None
    first, second = run_pair(cfg, RANK_RECORDER, tmp_path)
    assert len(set(first['ids'] + second['ids'])) == 8
    for name, value in first['state'].items():
        if 'running' not in name and 'num_batches' not in name:
            assert torch.equal(value, second['state'][name]), name
    for rank in (first, second):
        for sample, log in zip(rank['ids'], rank['logs'], strict=True):
            for name in ('loss_pose', 'loss_shape', 'loss_joints', 'loss_parts'):
                assert (float(log[name]) == 0) == (sample % 2 == 1)
            assert float(log['loss_keypoints']) > 0


def test_a_trained_model_recovers_bodies_of_a_picture(bodies, tmp_path):
    """MMPose's own ``init_model`` and ``inference_topdown``, from the config and checkpoint."""
    cfg = make_config(bodies, tmp_path, 'hmr', iterations=2)
    run(cfg)
    model = init_model(cfg, str(Path(cfg.work_dir, 'iter_2.pth')), device='cpu')
    boxes = np.load(bodies / 'mesh/val.npz')['box'][:1]
    [sample] = inference_topdown(model, str(bodies / 'images/val/0.png'), boxes)
    assert sample.pred_instances.vertices.shape == (1, 1229, 3)
    assert sample.metainfo['joint_set'] == 'mesh_22'
    bare = init_model(make_config(bodies, tmp_path, 'hmr'), device='cpu')
    [sample] = inference_topdown(bare, str(bodies / 'images/val/0.png'), boxes)
    assert sample.pred_instances.keypoints.shape == (1, 22, 2)
