"""Runs that are killed and resumed end as if they had never stopped."""

import json
import multiprocessing
import os
import random
import signal
import socket
from pathlib import Path

import mmengine
import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hsjp_mm.datasets.toy import render
from hsjp_mm.engine.launch import CPU_OPTIONS
from tests.helpers import ROOT

pytestmark = pytest.mark.slow
# processes that have nothing of this one, but torch and MMPose imported once
PROCESSES = multiprocessing.get_context('forkserver')
PROCESSES.set_forkserver_preload(['mmpose.apis', 'hsjp_mm.engine', 'hsjp_mm.models'])


class Kill(Hook):
    """Ends its process as ``kill -9`` does, before or after the step of an iteration."""

    def __init__(self, iteration: int, point: str):
        setattr(self, point, lambda runner, *args, **kwargs: self._kill(runner.iter == iteration))

    def _kill(self, now: bool) -> None:
        if now:
            os.kill(os.getpid(), signal.SIGKILL)


def train(cfg: Config, kill: tuple[int, str] | None, rank: int, processes: int, port: int) -> None:
    """Train in this process."""
    torch.set_num_threads(1)
    # to lay out the config's text, each time it is logged or saved, takes longer than the training
    mmengine.config.config.FormatCode = lambda text, **options: (text, True)
    if processes > 1:
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes),
            MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port),
        )  # fmt: skip
        torch.distributed.init_process_group('gloo')
        options = (option.split('=') for option in CPU_OPTIONS)
        cfg.merge_from_dict({k: DictAction._parse_iterable(v) for k, v in options})
        cfg.launcher = 'pytorch'
    runner = Runner.from_cfg(cfg)
    if kill:
        runner.register_hook(Kill(*kill), priority='LOWEST')
    runner.train()


def run(cfg: Config, kill: tuple[int, str] | None = None, processes: int = 1) -> list[int]:
    """Train in so many new processes, and give their exit codes."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    started = [
        PROCESSES.Process(target=train, args=(cfg, kill, rank, processes, port))
        for rank in range(processes)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        process.kill()  # if it hangs
    return [process.exitcode for process in started]


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    """A few rendered people in COCO's layout."""
    folder = tmp_path_factory.mktemp('toy')
    render(folder, num_train=6, num_val=2, image_size=(160, 120))
    return folder


def demo_config(name: str, toy: Path) -> Config:
    """Make a config of the demo small: 6 iterations of 4, a checkpoint and a validation by 3."""
    cfg = Config.fromfile(min((ROOT / 'configs/demo').glob(f'{name}*.py')))
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(batch_size=4)
        loader.dataset.update(data_root=str(toy), indices=None)
    cfg.val_evaluator.pop('ann_file', None)
    cfg.train_cfg.update(max_iters=6, val_interval=3)
    cfg.default_hooks.checkpoint.update(interval=3, max_keep_ckpts=-1, save_best=None)
    cfg.param_scheduler = [dict(type='MultiStepLR', milestones=[4], gamma=0.1, by_epoch=False)]
    return cfg


def rows(folder: Path) -> dict[int, dict]:
    """What was logged of the steps, without times."""
    found = {}
    for file in sorted(folder.rglob('vis_data/scalars.json')):
        for row in map(json.loads, file.read_text().splitlines()):
            if 'loss' in row:
                found[row['step']] = {
                    k: v for k, v in row.items() if k not in ('time', 'data_time', 'memory')
                }
    return found


def require_equal(one, other, place: str = '') -> None:
    """Refuse checkpoints that differ by a bit."""
    assert type(one) is type(other), place
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            require_equal(one[key], other[key], f'{place}.{key}')
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for i, pair in enumerate(zip(one, other, strict=True)):
            require_equal(*pair, f'{place}.{i}')
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), place
    else:
        assert one == other or (one != one and other != other), place


def require_same_end(cfg: Config, workers: dict, processes: int = 1) -> dict:
    """Train without a stop, and killed and resumed with other workers; compare.

    Returns:
        The last checkpoint.
    """
    by_epoch = cfg.train_cfg.get('by_epoch', False)
    steps, last = 6, 'epoch_2.pth' if by_epoch else 'iter_6.pth'
    cfg.default_hooks.logger.interval = 1
    cfg.randomness = dict(seed=3)
    folder = Path(cfg.work_dir)
    checkpoints = []
    place = random.Random(f'{cfg.model.type} {by_epoch} {processes}')
    kill = (place.choice([3, 4]), place.choice(['before_train_iter', 'after_train_iter']))
    for name, killed, resume in (('whole', None, False), ('cut', kill, False), ('cut', None, True)):
        part = Config(cfg.to_dict())
        part.work_dir, part.resume = str(folder / name), resume
        part.experiment_name = part.visualizer.name = f'{folder.parent.name}-{name}-{resume}'
        part.train_dataloader.update(
            dict(num_workers=0, persistent_workers=False) if name == 'whole' else workers
        )
        part.val_dataloader.update(num_workers=0, persistent_workers=False)
        codes = run(part, killed, processes)
        assert codes == [-signal.SIGKILL if killed else 0] * processes
        path = folder / name / last
        assert path.exists() == (not killed)
        if not killed:
            checkpoints.append(torch.load(path, map_location='cpu'))
    for name in ('state_dict', 'optimizer', 'param_schedulers', 'ema_state_dict'):
        require_equal(checkpoints[0].get(name), checkpoints[1].get(name), name)
    whole, cut = rows(folder / 'whole'), rows(folder / 'cut')
    assert len(whole) == steps
    assert cut == whole
    return checkpoints[0]


@pytest.mark.parametrize(
    ('name', 'workers', 'persistent'),
    [
        ('hsjp', 2, True),
        ('jigclu', 1, False),
        ('mocov2', 2, True),
        ('byol', 1, False),
        ('swav', 1, True),
        ('td-hm_hrnet-tiny_scratch', 2, True),
    ],
)
def test_the_demos_runs_resume_to_the_same_result(toy, tmp_path, name, workers, persistent):
    cfg = demo_config(name, toy)
    cfg.work_dir = str(tmp_path / 'work')
    require_same_end(cfg, dict(num_workers=workers, persistent_workers=persistent))


def test_an_epoch_based_run_with_averaged_weights_resumes_to_the_same_result(tiny_config):
    cfg = tiny_config()
    cfg.train_cfg.val_interval = 1
    cfg.custom_hooks.append(dict(type='EMAHook', momentum=0.1))
    last = require_same_end(cfg, dict(num_workers=2, persistent_workers=True))
    assert 'ema_state_dict' in last


def test_two_processes_resume_to_the_same_result(toy, tmp_path):
    cfg = demo_config('hsjp', toy)
    cfg.work_dir = str(tmp_path / 'work')
    require_same_end(cfg, dict(num_workers=1, persistent_workers=True), processes=2)
