"""Real runs of mesh regressors, of seconds: the start, two processes, a run that is resumed."""

import multiprocessing
from datetime import timedelta
from pathlib import Path

import mmengine
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from mmpose.apis import inference_topdown, init_model

from hsjp_mm.datasets.toy_bodies import render
from tests.helpers import ROOT, leave_group, run_pair
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


@pytest.fixture(autouse=True)
def configs_as_they_are(monkeypatch):
    """To lay out a config's text, each time it is logged or saved, takes longer than to train."""
    monkeypatch.setattr(mmengine.config.config, 'FormatCode', lambda text, **options: (text, True))


@pytest.fixture(scope='module')
def bodies(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('mesh') / 'toy'
    write_bodies(folder, 'train', 8)
    write_bodies(folder, 'val', 3, seed=50)
    return folder


NARROW = {
    'hmr': dict(hidden_channels=256),
    'pare': dict(deconv_out_channels=(8, 8, 8)),
    'pymaf': dict(
        type='hsjp_mm.PyMAFHead', deconv_out_channels=(8, 8, 8), hidden_channels=32, num_points=20
    ),
    'pose2pose': dict(type='hsjp_mm.Pose2PoseHead', thin_channels=8),
    'i2l-meshnet': dict(deconv_out_channels=(8, 8, 8)),
    'hmr2': dict(in_channels=24, dim=16, num_layers=1, num_heads=2, feedforward_channels=16),
}
"""The regressors, and what makes their heads small; without a demo of its own one is HMR's."""
DEMOS = {'hmr2': 'hmr2_vit-tiny', 'pymaf': 'hmr_res18', 'pose2pose': 'hmr_res18'}
every_regressor = pytest.mark.parametrize('head', NARROW)


def make_config(bodies: Path, folder: Path, head: str = 'pare', iterations: int = 6) -> Config:
    """The demo's config with a narrow backbone and a small head, on a few bodies."""
    demo = DEMOS.get(head, f'{head}_res18')
    cfg = Config.fromfile(ROOT / f'configs/demo/{demo}_1xb16-2000i_toy-96x96.py')
    if head == 'hmr2':
        cfg.model.backbone.arch = dict(
            embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=24
        )
    else:
        cfg.model.backbone.update(stem_channels=8, base_channels=8)
    if 'type' in NARROW[head]:
        cfg.model.head = {}
    cfg.model.head.update({'in_channels': 64, **NARROW[head]})
    if head == 'pose2pose':
        cfg.model.loss = dict(type='hsjp_mm.Pose2PoseLoss')
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


@every_regressor
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


# ------------------------------------------------------------------- two processes as one


def gradients(bodies: Path, head: str, rank: int | None = None) -> dict[str, torch.Tensor]:
    """Losses and gradients of four bodies, or of the two of a process.

    Norms and dropout are as in the test: their statistics and draws are a process's own. The
    bodies have all labels, for each process averages over what its own samples have.
    """
    torch.manual_seed(0)
    cfg = make_config(bodies, bodies, head)
    dataset = DATASETS.build({**cfg.val_dataloader.dataset, 'ann_file': 'mesh/train.npz',
                              'data_prefix': cfg.train_dataloader.dataset.data_prefix})  # fmt: skip
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.prepare(dataset)
    for parameter in model.parameters():  # ResNet's last norms start at 0, and let nothing through
        parameter.data += 0.01 * torch.randn_like(parameter)
    model.eval()
    rows = range(4) if rank is None else range(2 * rank, 2 * rank + 2)
    data = model.data_preprocessor(pseudo_collate([dataset[row] for row in rows]), training=True)
    network = model if rank is None else MMDistributedDataParallel(model, device_ids=None)
    losses = network(**data, mode='loss')
    sum(value for name, value in losses.items() if name.startswith('loss_')).backward()
    found = {name: value.detach() for name, value in losses.items() if name.startswith('loss_')}
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return found | {name: value.grad for name, value in trained.items()}


def run_rank(rank: int, folder: str, bodies: str) -> None:
    torch.set_num_threads(1)
    init_default_scope('mmpose')
    torch.distributed.init_process_group(
        'gloo', f'file://{folder}/group', timedelta(seconds=60), 2, rank
    )
    found = {head: gradients(Path(bodies), head, rank) for head in NARROW}
    torch.save(found, f'{folder}/{rank}')
    leave_group()


@pytest.fixture(scope='module')
def pair(bodies, tmp_path_factory) -> list[dict]:
    """What two processes found of each regressor."""
    folder = tmp_path_factory.mktemp('pair')
    multiprocessing.set_forkserver_preload(['hsjp_mm.models', 'torch._dynamo'])
    torch.multiprocessing.start_processes(
        run_rank, (str(folder), str(bodies)), nprocs=2, start_method='forkserver'
    )
    return [torch.load(Path(folder, str(rank))) for rank in range(2)]


@every_regressor
def test_two_processes_compute_what_one_does(pair, bodies, head):
    """Each loss, averaged over them, and the gradient of every parameter."""
    whole = gradients(bodies, head)
    first, second = (found[head] for found in pair)
    assert whole.keys() == first.keys() == second.keys()
    assert any(name.startswith('backbone') for name in whole)
    for name, value in whole.items():
        if name.startswith('loss_'):
            assert first[name] != second[name]
            torch.testing.assert_close((first[name] + second[name]) / 2, value)
        else:
            # As a whole, for in single precision rounding decides the sign at the kinks of absolute
            # losses. Of some, as biases before a softmax over places, rounding is all there is.
            for found in (first, second):
                assert (found[name] - value).norm() < 1e-3 * value.norm() + 1e-6, name


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


# ----------------------------------------------------------------- what the demo starts from


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    """A few rendered bodies, with keypoints in COCO's layout, too."""
    folder = tmp_path_factory.mktemp('rendered') / 'toy'
    render(folder, num_train=3, num_val=1, image_size=(160, 120))
    return folder


def demo_config(name: str, toy: Path, folder: Path) -> Config:
    """A config of the demo in its full size, for three iterations of two persons."""
    cfg = Config.fromfile(ROOT / f'configs/demo/{name}-96x96.py')
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(toy)
    if 'ann_file' in cfg.val_evaluator:
        cfg.val_evaluator.ann_file = str(toy / 'annotations/person_keypoints_val.json')
    cfg.train_cfg.update(max_iters=3, val_interval=3)
    cfg.default_hooks.checkpoint.update(interval=3, save_best=None)
    cfg.param_scheduler = []
    cfg.work_dir = str(folder)
    cfg.experiment_name = cfg.visualizer.name = f'{folder.parent.name}-{folder.name}'
    return cfg


@pytest.mark.parametrize(
    ('start', 'regressor'),
    [
        ('mae_vit-tiny_1xb32-1000i_toy', 'hmr2_vit-tiny_1xb16-2000i_toy'),
        ('hsjp_vit-tiny_1xb32-1000i_toy', 'hmr2_vit-tiny_1xb16-2000i_toy'),
        ('td-hm_vit-tiny_scratch-1xb32-1000i_toy', 'hmr2_vit-tiny_1xb16-2000i_toy'),
        ('pare_hrnet-tiny_1xb32-1000i_toy-plain', 'hmr_hrnet-tiny_1xb16-1200i_toy'),
    ],
)
def test_the_demos_starts_hand_over_every_tensor(start, regressor, toy, tmp_path, capfd):
    run(demo_config(start, toy, tmp_path / 'start'))
    cfg = demo_config(regressor, toy, tmp_path / 'end')
    cfg.model.backbone.init_cfg = dict(
        type='hsjp_mm.PretextInit', checkpoint=str(tmp_path / 'start/iter_3.pth')
    )
    capfd.readouterr()
    trained, logs = run(cfg)
    assert len(logs) == 3
    assert all(np.isfinite(log['loss']) for log in logs)
    [line] = [text for text in ''.join(capfd.readouterr()).splitlines() if 'tensors, ' in text]
    number = len(trained.model.backbone.state_dict())
    assert f'backbone: {number} of {number} tensors' in line
    assert '; left behind: head (' in line
    assert 'unused' not in line and 'missing' not in line
