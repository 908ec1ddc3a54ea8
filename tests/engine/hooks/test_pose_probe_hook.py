"""The pose probe in runs of seconds, on rendered people."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from hsjp_mm.datasets.toy import render
from hsjp_mm.engine import PoseProbeHook
from hsjp_mm.probing import PoseProbe
from tests.helpers import ROOT, run_pair

TOPDOWN = 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py'
PROBE = dict(persons=6, iterations=8)


@pytest.fixture(scope='module')
def people(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('people') / 'toy'
    render(folder, num_train=6, num_val=4, image_size=(160, 120))
    return folder


@pytest.fixture
def hook(people) -> dict:
    """Settings of the hook."""
    return dict(
        type='hsjp_mm.PoseProbeHook',
        config=str(ROOT / TOPDOWN),
        **PROBE,
        cfg_options={
            'train_dataloader.dataset.data_root': str(people),
            'val_dataloader.dataset.data_root': str(people),
            'val_evaluator.ann_file': str(people / 'annotations/person_keypoints_val.json'),
        },
    )


@pytest.fixture
def probe(hook) -> PoseProbe:
    config = Config.fromfile(hook['config'])
    config.merge_from_dict(hook['cfg_options'])
    return PoseProbe(config, **PROBE)


@pytest.fixture
def train(tiny_config):
    """A function that runs a tiny pretraining that validates after each of two epochs.

    Without SeedHook, which would hide what the probe does to the random numbers.
    """

    def train(name: str, *hooks: dict, **options) -> Runner:
        cfg = tiny_config(name, **{'train_cfg.val_interval': 1, **options})
        kept = [hook for hook in cfg.custom_hooks if hook.type != 'hsjp_mm.SeedHook']
        cfg.custom_hooks = [*kept, *hooks]
        runner = Runner.from_cfg(cfg)
        runner.train()
        return runner

    return train


def logged(runner: Runner) -> list[dict]:
    """What validations wrote for the visualizer."""
    (path,) = Path(runner.work_dir).rglob('scalars.json')
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    return [row for row in rows if 'hsjp/precision' in row]


def figures(row: dict) -> dict:
    """Those of the probe but the seconds."""
    probed = {k.split('/')[1]: v for k, v in row.items() if k.startswith('pose_probe/')}
    assert probed.pop('seconds', 1) > 0
    return probed


@pytest.mark.slow
def test_training_does_not_notice_it(train, hook):
    plain, probed = train('plain'), train('probed', hook)
    assert figures(logged(probed)[-1]) and not figures(logged(plain)[-1])
    for saved in ('epoch_1.pth', 'epoch_2.pth'):
        one, other = (torch.load(Path(run.work_dir) / saved) for run in (plain, probed))
        assert one['state_dict'].keys() == other['state_dict'].keys()
        for name, value in one['state_dict'].items():
            assert torch.equal(value, other['state_dict'][name]), name
        moments = [
            torch.cat([m['exp_avg'].flatten() for m in run['optimizer']['state'].values()])
            for run in (one, other)
        ]
        assert torch.equal(*moments)
    for one, other in zip(logged(plain), logged(probed), strict=True):
        same = [name for name in one if name.startswith('hsjp/')]
        assert {name: one[name] for name in same} == {name: other[name] for name in same}


@pytest.mark.slow
@pytest.mark.parametrize('averaged', [False, True])
def test_figures_are_those_of_the_checkpoint_beside_the_floor(train, hook, probe, averaged):
    """Also with EMAHook, whose average is what validation measures and checkpoints hold."""
    average = [dict(type='EMAHook', momentum=0.5, priority='NORMAL')] * averaged
    runner = train('figures', *average, hook, **{'randomness.seed': 1})
    for epoch, row in enumerate(logged(runner), 1):
        expected = probe.measure(Path(runner.work_dir) / f'epoch_{epoch}.pth')['figures']
        floor = {f'{name}_floor': value for name, value in probe.floor['figures'].items()}
        assert figures(row) == pytest.approx({**expected, **floor})
        assert expected['copied_OKS'] != floor['copied_OKS_floor']
    (log,) = Path(runner.work_dir).rglob('*.log')
    assert log.read_text().count('pose_probe/OKS_floor: ') == 2


@pytest.mark.slow
def test_the_best_epoch_by_the_probe(train, hook):
    runner = train(
        'best', hook,
        **{
            'default_hooks.checkpoint.save_best': 'pose_probe/copied_OKS',
            'default_hooks.checkpoint.rule': 'greater',
        },
    )  # fmt: skip
    scores = [row['pose_probe/copied_OKS'] for row in logged(runner)]
    assert runner.message_hub.get_info('best_score') == max(scores)
    (best,) = Path(runner.work_dir).glob('best_pose_probe_copied_OKS_epoch_*.pth')
    assert best.name.endswith(f'epoch_{1 + scores.index(max(scores))}.pth')


@pytest.mark.slow
def test_every_second_validation(train, hook):
    first, second = logged(train('second', {**hook, 'interval': 2}))
    assert not figures(first) and figures(second)


@pytest.mark.slow
def test_a_run_without_validation(train, hook):
    nothing = dict.fromkeys(['val_cfg', 'val_dataloader', 'val_evaluator'])
    with pytest.raises(ValueError, match='PoseProbeHook probes with validations'):
        train('none', hook, **nothing, **{'default_hooks.checkpoint.save_best': None})


@pytest.mark.slow
def test_errors_come_before_training(train, hook, tmp_path):
    hook['cfg_options']['train_dataloader.dataset.data_root'] = str(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match=r'train_dataloader\.dataset of the config: .*nowhere'):
        train('nowhere', hook)
    assert not (tmp_path / 'nowhere/epoch_1.pth').exists()
    with pytest.raises(ValueError, match='interval=0 must be at least 1'):
        PoseProbeHook(hook['config'], interval=0)


RANK_RECORDER = """
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RankRecorder(Hook):
    '''Save what each process learns of the probe.'''

    priority = 'LOWEST'

    def after_val_epoch(self, runner, metrics=None):
        torch.save(dict(metrics), f'{runner.work_dir}/rank_{runner.rank}.pth')
"""


@pytest.mark.slow
def test_two_processes_know_the_same_figures(tiny_config, hook, tmp_path):
    cfg = tiny_config('pair')
    cfg.custom_hooks.append(hook)
    one, other = run_pair(cfg, RANK_RECORDER, tmp_path)
    assert one == other and figures(one)
