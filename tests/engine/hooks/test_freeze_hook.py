import copy
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseModel, MMSeparateDistributedDataParallel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hsjp_mm.datasets.toy import render
from hsjp_mm.engine import FreezeHook
from tests.helpers import ROOT, run_pair

HRNET = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny
RESNET = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
HOURGLASS = dict(
    type='HourglassNet', num_stacks=3, feat_channel=8,
    stage_channels=(256, 8, 8, 8, 8, 8), stage_blocks=(1, 1, 1, 1, 1, 1),
)  # fmt: skip


def with_backbone(config: dict) -> nn.Module:
    """A backbone and a head, in a model."""
    torch.manual_seed(0)
    model = nn.Module()
    model.backbone = MODELS.build(copy.deepcopy(config))
    model.head = nn.Conv2d(1, 1, 1)
    return model


def freeze(model: nn.Module, **options) -> FreezeHook:
    """Do what the hook does before the first iteration, in the training mode of an epoch."""
    hook = FreezeHook(**options)
    runner = SimpleNamespace(model=model, logger=MMLogger.get_current_instance())
    hook.before_run(runner)
    hook.before_train(runner)
    model.train()
    hook.before_train_iter(runner, 0)
    return hook


def frozen(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if not p.requires_grad}


def still_norms(model: nn.Module) -> set[str]:
    norms = ((n, m) for n, m in model.named_modules() if isinstance(m, _BatchNorm))
    return {name for name, norm in norms if not norm.training}


# ---------------------------------------------------------------------------------- what freezes


@pytest.mark.parametrize('last', range(5))
@pytest.mark.parametrize(
    'config',
    [
        HRNET,
        RESNET,
        dict(type='ResNetV1d', depth=18, stem_channels=8, base_channels=8),
        dict(type='mmdet.ResNet', depth=18, stem_channels=8, base_channels=8),
    ],
    ids=lambda config: config['type'],
)
def test_layers_are_those_of_the_stock_option(config, last):
    """Which is asked of a second network, that has it set; mmdet.ResNet freezes 1 by default."""
    options = dict(frozen_stages=-1, norm_eval=False)
    model = with_backbone({**config, **options})
    freeze(model, layers=range(last + 1))
    stock = with_backbone({**config, **options, 'frozen_stages': last}).train()
    assert frozen(model) == frozen(stock) != set()
    assert still_norms(model) == still_norms(stock) != set()


def test_a_layer_alone_can_be_frozen():
    model = with_backbone(HRNET)
    freeze(model, layers=[3])
    assert {name.split('.')[1] for name in frozen(model)} == {'stage3', 'transition3'}


@pytest.mark.slow
@pytest.mark.parametrize('last', range(4))
def test_hourglass_layers_are_what_the_next_stack_starts_from(last):
    """Told by the gradients of the next stack's output, without that stack."""
    model = with_backbone(HOURGLASS)
    outputs = model.backbone(torch.rand(2, 3, 128, 128))
    following = min(last, 2)  # the last stack has none
    outputs[following].sum().backward()
    reached = {n for n, p in model.named_parameters() if p.grad is not None}
    own = (f'backbone.hourglass_modules.{last}.', f'backbone.out_convs.{last}.')
    expected = {name for name in reached if not name.startswith(own)}
    freeze(model, layers=range(last + 1))
    assert frozen(model) == expected != set()
    if last == 3:
        assert frozen(model) == {n for n, _ in model.backbone.named_parameters(prefix='backbone')}


def test_patterns_name_modules_and_parameters():
    model = with_backbone(RESNET)
    freeze(model, patterns=['backbone.layer[12]', 'head.bias', 'backbone.*.bn1.weight'])
    expected = {
        name
        for name, _ in model.named_parameters()
        if re.match(r'backbone\.layer[12]\.', name)
        or re.fullmatch(r'backbone\..*\.bn1\.weight', name)
        or name == 'head.bias'
    }
    assert frozen(model) == expected
    # the norms of which a parameter alone was named go on
    assert all(re.match(r'backbone\.layer[12]\.', name) for name in still_norms(model))
    assert len(still_norms(model)) == 9


def test_layers_and_patterns_add_up():
    model = with_backbone(RESNET)
    freeze(model, layers=[0], patterns=['head'])
    assert {name.rsplit('.', 1)[0] for name in frozen(model)} == {
        'backbone.conv1', 'backbone.bn1', 'head',
    }  # fmt: skip


# ----------------------------------------------------------------------------------- real runs


class Small(BaseModel):
    """Three convolutions, the first with batch norm; it learns to give ones."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        output = self.head(self.middle(self.stem(torch.stack(list(inputs)).float())))
        return {'loss': (output - 1).square().mean()} if mode == 'loss' else [BaseDataElement()]


class Images(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        return {'inputs': 3 + torch.randn(1, 8, 8, generator=generator)}


class NoMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        pass

    def compute_metrics(self, results):
        return {}


def small_runner(tmp_path, *hooks, name: str = 'run', **options) -> Runner:
    """A runner of four iterations an epoch: momentum, strong weight decay, validations between."""
    loader = dict(
        dataset=Images(), batch_size=2, num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )  # fmt: skip
    optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1)
    settings = dict(
        train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
        train_dataloader=loader,
        val_dataloader=copy.deepcopy(loader),
        val_cfg={},
        val_evaluator=[NoMetric()],
        optim_wrapper=dict(optimizer=optimizer),
    )
    return Runner(
        Small(),
        str(tmp_path / name),
        **{**settings, **options},
        custom_hooks=list(hooks),
        experiment_name=f'{tmp_path.name}-{name}',
        randomness=dict(seed=0),
        default_scope='mmpose',
    )


def moved(runner: Runner, before: dict) -> set[str]:
    state = runner.model.state_dict()
    return {name for name, value in before.items() if not torch.equal(state[name], value)}


def start(runner: Runner) -> dict:
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


@pytest.mark.parametrize(
    'train_cfg',
    [
        dict(by_epoch=True, max_epochs=2, val_interval=1),
        dict(by_epoch=False, max_iters=6, val_interval=2),
    ],
    ids=['epochs', 'iterations'],
)
@pytest.mark.slow
def test_weights_and_statistics_stay_through_epochs_and_validations(tmp_path, train_cfg):
    runner = small_runner(
        tmp_path, dict(type='hsjp_mm.FreezeHook', patterns=['stem']), train_cfg=train_cfg
    )
    before = start(runner)
    runner.train()
    trained = {name for name in before if not name.startswith('stem.')}
    assert moved(runner, before) == trained
    (log,) = (tmp_path / 'run').rglob('*.log')
    # 4·9 + 4 weights and 2·4 of the norm are frozen, 4·4 + 4, 2·4 and 4 + 1 train
    assert (
        "FreezeHook: 33 of 81 parameters train (40.7%); frozen are patterns=['stem'], 7 tensors; "
        'norms in evaluation mode'
    ) in log.read_text()


@pytest.mark.slow
def test_without_norm_eval_the_statistics_move_and_the_weights_do_not(tmp_path):
    hook = dict(type='hsjp_mm.FreezeHook', patterns=['stem'], norm_eval=False)
    runner = small_runner(tmp_path, hook)
    before = start(runner)
    runner.train()
    statistics = {f'stem.1.{n}' for n in ('running_mean', 'running_var', 'num_batches_tracked')}
    assert moved(runner, before) == statistics | {n for n in before if n.split('.')[0] != 'stem'}


@pytest.mark.slow
def test_moving_averages_and_a_resumed_momentum_leave_them_alone(tmp_path):
    first = small_runner(
        tmp_path, name='first', train_cfg=dict(by_epoch=True, max_epochs=1, val_interval=1)
    )
    first.train()
    before = start(first)
    hooks = [dict(type='EMAHook', momentum=0.1), dict(type='hsjp_mm.FreezeHook', patterns=['stem'])]
    second = small_runner(
        tmp_path, *hooks, name='second', resume=True,
        load_from=str(tmp_path / 'first/epoch_1.pth'),
    )  # fmt: skip
    second.train()
    assert (first.iter, second.iter) == (4, 8)
    assert moved(second, before) == {name for name in before if not name.startswith('stem.')}
    saved = torch.load(tmp_path / 'second/epoch_2.pth')
    for weights in (saved['state_dict'], saved['ema_state_dict']):
        kept = {name.removeprefix('module.'): value for name, value in weights.items()}
        assert all(torch.equal(kept[n], before[n]) for n in before if n.startswith('stem.'))


@pytest.mark.slow
def test_what_trains_does_so_as_if_the_rest_were_a_constant(tmp_path):
    runner = small_runner(tmp_path, dict(type='hsjp_mm.FreezeHook', patterns=['stem', 'middle']))
    constant = copy.deepcopy(runner.model)
    runner.train()
    constant.eval()
    head = constant.head
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    images = Images()
    for i in [0, 2, 4, 6] * 2:
        loss = constant([images[i]['inputs'], images[i + 1]['inputs']], mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(runner.model.head.state_dict(), head.state_dict())


# ------------------------------------------------------------------------------------ the check


class Decay(Hook):
    """Write into a tensor, as a decay beside the optimiser would, in one iteration."""

    def __init__(self, name: str, iteration: int, factor: float = 1 - 1e-6):
        self.name, self.iteration, self.factor = name, iteration, factor

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.iteration:
            runner.model.state_dict()[self.name].mul_(self.factor)


class TrainingMode(Hook):
    """Put a norm into training mode after all other hooks."""

    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        runner.model.stem[1].train()


@pytest.mark.parametrize(
    ('other', 'steps', 'tensor'),
    [
        (Decay('stem.0.weight', 0), 1, 'weight stem.0.weight'),
        (Decay('stem.1.bias', 1, 0.9), None, ''),  # which is 0
        (Decay('stem.1.weight', 3), 4, 'weight stem.1.weight'),
        (Decay('stem.1.running_var', 4, 1.001), 8, 'buffer stem.1.running_var'),
        (Decay('stem.1.running_var', 4, 1 + 1e-6), None, ''),  # rounding
        (Decay('head.weight', 1, 0.5), None, ''),
    ],
    ids=lambda value: getattr(value, 'name', None),
)
@pytest.mark.slow
def test_the_run_stops_if_something_moved(tmp_path, other, steps, tensor):
    runner = small_runner(tmp_path, FreezeHook(patterns=['stem']), other)
    if steps is None:
        runner.train()
        return
    message = rf'after {steps} steps 1 of 7 frozen tensors have moved: {re.escape(tensor)}\.'
    with pytest.raises(RuntimeError, match=message):
        runner.train()


@pytest.mark.slow
def test_what_moves_after_the_last_power_of_two_is_seen_at_the_end(tmp_path):
    runner = small_runner(
        tmp_path, FreezeHook(patterns=['stem']), Decay('stem.0.bias', 4),
        train_cfg=dict(by_epoch=False, max_iters=6, val_interval=6),
    )  # fmt: skip
    with pytest.raises(RuntimeError, match=r'after 6 steps 1 of 7 .*weight stem\.0\.bias'):
        runner.train()


@pytest.mark.slow
def test_the_run_stops_if_a_norm_trains(tmp_path):
    runner = small_runner(tmp_path, FreezeHook(patterns=['stem']), TrainingMode())
    with pytest.raises(RuntimeError, match=r'after 1 steps 3 of 7 .*buffer stem\.1\.running_mean'):
        runner.train()


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layers=[5]), r'layers=\[5\]: the backbone, ResNet, .*\[5\]; it has 0 to 4'),
        (dict(layers=[0, -1]), r'has no layers \[-1\]; it has 0 to 4'),
        (
            dict(patterns=['backbone.layr1']),
            r"'backbone\.layr1' matches no module .*near are backbone\.layer\d",
        ),
        (dict(patterns=['head', 'bakbone.conv1']), r"'bakbone\.conv1' .*backbone\.conv1"),
        (dict(patterns=['xyz']), r"'xyz' matches no .*near are backbone, head"),
        (dict(patterns=['*']), r"patterns=\['\*'\] freeze all of the model"),
        (dict(layers=range(5), patterns=['head']), r'layers=\[0, .* and patterns=.* freeze all'),
    ],
)
def test_names_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        freeze(with_backbone(RESNET), **options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(), 'give layers, patterns or both'),
        (dict(layers=[]), 'give layers, patterns or both'),
        (dict(layers=2), r'layers=2 and patterns=\(\) must be lists'),
        (dict(patterns='head'), r"patterns='head' must be lists"),
    ],
)
def test_arguments_that_say_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FreezeHook(**options)


def test_networks_without_known_layers_are_refused():
    model = with_backbone(dict(type='MobileNetV2'))
    message = (
        'the backbone, MobileNetV2, .*known are HRNet, ResNet, HourglassNet; others .*patterns'
    )
    with pytest.raises(ValueError, match=message):
        freeze(model, layers=[0])
    with pytest.raises(ValueError, match='the backbone, NoneType'):
        freeze(Small(), layers=[0])


def test_an_unknown_wrapper_is_refused():
    wrapper = MMSeparateDistributedDataParallel.__new__(MMSeparateDistributedDataParallel)
    with pytest.raises(ValueError, match='cannot freeze in a MMSeparateDistributedDataParallel'):
        FreezeHook(layers=[0]).before_run(SimpleNamespace(model=wrapper))


# ----------------------------------------------------------------- MMPose, in one and two processes

RECORDER = """
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RankRecorder(Hook):
    '''Save what each process starts from and ends with.'''

    priority = 'LOWEST'

    def before_train(self, runner):
        state = runner.model.module.state_dict()
        self.start = {name: value.clone() for name, value in state.items()}

    def after_train(self, runner):
        saved = dict(state=runner.model.module.state_dict(), start=self.start)
        torch.save(saved, f'{runner.work_dir}/rank_{runner.rank}.pth')
"""


def pose_config(folder: Path, layers: list[int]) -> Config:
    """The demo's fine-tuning on six drawn images, with layers frozen as in the leaves."""
    render(folder / 'toy', 6, 2)
    path = ROOT / 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py'
    cfg = Config.fromfile(path)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='hsjp_mm.FreezeHook', layers=layers)]
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(folder / 'toy')
    cfg.val_evaluator.ann_file = str(folder / 'toy/annotations/person_keypoints_val.json')
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.train_cfg.update(max_iters=4, val_interval=2)
    cfg.default_hooks.checkpoint = None
    cfg.work_dir = str(folder / 'run')
    cfg.visualizer.name = cfg.experiment_name = folder.name
    return cfg


def parts_that_moved(start: dict, end: dict) -> set[str]:
    return {
        '.'.join(name.split('.')[:2])
        for name, value in start.items()
        if not torch.equal(end[name], value)
    }


TRAINED = {'backbone.stage3', 'backbone.transition3', 'backbone.stage4', 'head.final_layer'}


@pytest.mark.slow
def test_layers_of_a_pose_estimator_stay(tmp_path):
    runner = Runner.from_cfg(pose_config(tmp_path, [0, 1, 2]))
    initial, recorder = {}, Hook()
    recorder.before_train = lambda runner: initial.update(start(runner))
    runner.register_hook(recorder)
    runner.train()
    assert parts_that_moved(initial, runner.model.state_dict()) == TRAINED


@pytest.mark.slow
def test_two_processes_freeze_without_find_unused_parameters(tmp_path):
    one, other = run_pair(pose_config(tmp_path, [0, 1, 2]), RECORDER, tmp_path)
    assert parts_that_moved(one['start'], one['state']) == TRAINED
    assert parts_that_moved(one['start'], other['start']) == set()
    weights = [name for name in one['state'] if 'running' not in name]
    for name in weights:  # the gradients were shared
        assert torch.equal(one['state'][name], other['state'][name]), name
