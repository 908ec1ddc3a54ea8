"""Real runs, of seconds: one that is resumed, and one of two processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[1]

RANK_RECORDER = """
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RankRecorder(Hook):
    '''Save what each process ends with, and the puzzles that it draws.'''

    priority = 'LOWEST'

    def before_train(self, runner):
        self.ids = []
        self.start = runner.model.module.head.final_layer.weight.detach().clone()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.ids += [sample.metainfo['id'] for sample in data_batch['data_samples']]

    def after_train(self, runner):
        model = runner.model.module
        torch.manual_seed(0)
        slots = model.make_puzzle(torch.zeros(8, 3, 64, 64)).slots
        saved = dict(state=model.state_dict(), start=self.start, ids=self.ids, slots=slots)
        torch.save(saved, f'{runner.work_dir}/rank_{runner.rank}.pth')
"""


def states_equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize('workers', [0, 1])
def test_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tiny_config, workers):
    data = {'train_dataloader.num_workers': workers}
    whole = Runner.from_cfg(tiny_config('whole', **data)).train()

    first = tiny_config('parts', **data, **{'train_cfg.max_epochs': 1})
    stopped = Runner.from_cfg(first)
    stopped.train()
    torch.manual_seed(99)  # a new process would not go on with this one's random numbers either
    second = tiny_config('parts', **data, resume=True)
    second.experiment_name += '-resumed'
    second.visualizer.name += '-resumed'
    resumed = Runner.from_cfg(second)
    resumed.train()

    assert (stopped.iter, resumed.iter) == (3, 6)
    assert not states_equal(whole.state_dict(), stopped.model.state_dict())
    assert states_equal(whole.state_dict(), resumed.model.state_dict())
    saved = torch.load(Path(second.work_dir) / 'epoch_2.pth')
    assert states_equal(saved['state_dict'], resumed.model.state_dict())
    assert saved['message_hub']['log_scalars']['val/hsjp/placed_chance'].current() == 0.25


def test_two_processes_end_with_equal_weights(tiny_config, tmp_path):
    (tmp_path / 'rank_recorder.py').write_text(RANK_RECORDER)
    cfg = tiny_config('pair', custom_imports=dict(imports=['rank_recorder']))
    cfg.custom_hooks.append(dict(type='mmengine.RankRecorder'))
    cfg.dump(tmp_path / 'pair.py')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [
            sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2',
            '--master_port', str(port), str(ROOT / 'tools/train.py'), str(tmp_path / 'pair.py'),
            '--launcher', 'pytorch',
        ],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': f'{ROOT}:{tmp_path}', 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    one, other = (torch.load(tmp_path / f'pair/rank_{rank}.pth') for rank in range(2))
    assert states_equal(one['state'], other['state'])
    assert sorted(one['ids'] + other['ids']) == sorted(2 * [11, 12, 14, 15, 19, 20])
    assert not torch.equal(one['start'], one['state']['head.final_layer.weight'])
    assert one['state']['puzzle'].tolist() == [2, 0]  # which SyncBuffersHook averages
    assert not torch.equal(one['slots'], other['slots'])
