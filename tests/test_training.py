"""Real runs, of seconds: one that is resumed, and one of two processes."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner

from tests.helpers import ROOT, run_pair

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


JIGCLU_RECORDER = """
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RankRecorder(Hook):
    '''Save what each process sees, and what it ends with.'''

    priority = 'LOWEST'

    def before_train(self, runner):
        self.ids, self.logs = [], []
        self.start = runner.model.module.head.location.weight.detach().clone()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.ids += [sample.metainfo['id'] for sample in data_batch['data_samples']]
        self.logs.append({name: value.detach() for name, value in outputs.items()})

    def after_train(self, runner):
        state = runner.model.module.state_dict()
        saved = dict(state=state, start=self.start, ids=self.ids, logs=self.logs)
        torch.save(saved, f'{runner.work_dir}/rank_{runner.rank}.pth')
"""


@pytest.fixture
def tiny_jigclu_config(tiny_coco, tmp_path):
    """A function that makes a JigClu config like ``tiny_config``; its grid is changed alone."""

    def make(name: str, **options) -> Config:
        cfg = Config.fromfile(ROOT / 'configs/jigclu/jigclu_res50_4xb64-200e_coco-224x224.py')
        cfg.model.backbone.update(depth=18, stem_channels=8, base_channels=8)
        cfg.model.head.in_channels = 64
        cfg.model.update(input_size=(64, 64), grid=3)
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.update(batch_size=2, num_workers=0, persistent_workers=False)
            loader.dataset.update(
                data_root=str(tiny_coco), ann_file='boxes.json', data_prefix=dict(img='images')
            )
        cfg.train_cfg.update(max_epochs=2, val_interval=2)
        cfg.default_hooks.checkpoint.interval = 1
        cfg.work_dir = str(tmp_path / name)
        cfg.visualizer.name = cfg.experiment_name = f'{tmp_path.name}-{name}'
        cfg.randomness = dict(seed=0)
        cfg.merge_from_dict(options)
        return cfg

    return make


@pytest.fixture(params=['hsjp', 'jigclu'])
def pretext(request):
    """How to make a tiny config of a pretext, and a chance level that its validation logs."""
    if request.param == 'hsjp':
        return request.getfixturevalue('tiny_config'), {'hsjp/placed_chance': 0.25}
    chances = {'jigclu/location_chance': 1 / 9, 'jigclu/retrieval_chance': 8 / 17}
    return request.getfixturevalue('tiny_jigclu_config'), chances


def states_equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def without_size(cfg: Config, *, stock: bool = False) -> Config:
    """The size of the crops as the base has it, or as configs of 0.1 stated it."""
    step = dict(type='TopdownAffine', input_size=(64, 64))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.pipeline[2] = step if stock else dict(type='hsjp_mm.InputAffine')
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize('stock', [False, True])
def test_configs_of_0_1_that_replace_the_hooks_or_the_pipeline_train(tiny_config, stock):
    hooks = [dict(type='hsjp_mm.SeedHook'), dict(type='hsjp_mm.SkippedImagesHook')]
    runner = Runner.from_cfg(without_size(tiny_config(custom_hooks=hooks), stock=stock))
    runner.train()
    assert runner.iter == 6 and runner.message_hub.get_scalar('val/hsjp/placed').current() >= 0


@pytest.mark.slow
def test_crops_of_another_size_than_the_models_are_refused(tiny_config):
    cfg = without_size(tiny_config(**{'model.input_size': (96, 96)}), stock=True)
    with pytest.raises(ValueError, match=r'crops are 64×64 pixels, but .*input_size=\(96, 96\)'):
        Runner.from_cfg(cfg).train()


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 1])
def test_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(pretext, workers):
    make_config, chances = pretext
    # the schedule's end is by default that of the training, here also of the one that stops early
    data = {'train_dataloader.num_workers': workers, 'param_scheduler.0.end': 2}
    whole = Runner.from_cfg(make_config('whole', **data)).train()

    first = make_config('parts', **data, **{'train_cfg.max_epochs': 1})
    stopped = Runner.from_cfg(first)
    stopped.train()
    torch.manual_seed(99)  # a new process would not go on with this one's random numbers either
    second = make_config('parts', **data, resume=True)
    second.experiment_name += '-resumed'
    second.visualizer.name += '-resumed'
    resumed = Runner.from_cfg(second)
    resumed.train()

    assert (stopped.iter, resumed.iter) == (3, 6)
    assert not states_equal(whole.state_dict(), stopped.model.state_dict())
    assert states_equal(whole.state_dict(), resumed.model.state_dict())
    saved = torch.load(Path(second.work_dir) / 'epoch_2.pth')
    assert states_equal(saved['state_dict'], resumed.model.state_dict())
    for name, chance in chances.items():
        logged = saved['message_hub']['log_scalars'][f'val/{name}'].current()
        assert logged == pytest.approx(chance)


@pytest.mark.slow
def test_two_processes_end_with_equal_weights(tiny_config, tmp_path):
    one, other = run_pair(tiny_config('pair'), RANK_RECORDER, tmp_path)
    assert states_equal(one['state'], other['state'])
    assert sorted(one['ids'] + other['ids']) == sorted(2 * [11, 12, 14, 15, 19, 20])
    assert not torch.equal(one['start'], one['state']['head.final_layer.weight'])
    assert one['state']['identity.grid'] == 2  # which SyncBuffersHook averages
    assert not torch.equal(one['slots'], other['slots'])


@pytest.mark.slow
def test_two_processes_share_the_montages_and_losses_of_jigclu(tiny_jigclu_config, tmp_path):
    one, other = run_pair(tiny_jigclu_config('pair'), JIGCLU_RECORDER, tmp_path)
    assert states_equal(one['state'], other['state'])
    # each process has three persons and takes one batch of two in each of two epochs
    assert len(one['ids']) == len(other['ids']) == 4
    assert set(one['ids'][:2]).isdisjoint(other['ids'][:2])
    assert len(one['logs']) == 2
    for mine, theirs in zip(one['logs'], other['logs'], strict=True):
        assert states_equal(mine, theirs)
        assert mine['retrieval_chance'] == pytest.approx(8 / (4 * 9 - 1))  # of four images
    assert not torch.equal(one['start'], one['state']['head.location.weight'])
    assert one['state']['identity.grid'] == 3  # which SyncBuffersHook averages


@pytest.fixture
def make_higherhrnet_config(painted_persons, tmp_path):
    """A function that puts a config of the family on painted persons and a tiny HRNet.

    The data pipeline is the config's, with crops of 64 pixels, always the same.
    """

    def make(name: str, checkpoint: str | None = None) -> Config:
        cfg = Config.fromfile(ROOT / f'configs/higherhrnet/coco/{name}-512x512.py')
        tiny = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny
        init_cfg = {**cfg.model.backbone.init_cfg, 'checkpoint': checkpoint}
        cfg.model.backbone = {**tiny, 'init_cfg': init_cfg if checkpoint else None}
        cfg.model.head.in_channels = 16
        cfg.model.head.decoder.update(input_size=(64, 64), heatmap_size=(64, 64))
        _, affine, flip, targets, *_ = cfg.train_dataloader.dataset.pipeline
        affine.update(input_size=(64, 64), max_shift=0, scale_factor=(1, 1), rotate_factor=0)
        flip.update(prob=1.0)
        for i, encoder in enumerate(targets.encoder):
            encoder.update(input_size=(64, 64), heatmap_size=(16 * 2**i, 16 * 2**i))
        cfg.val_dataloader.dataset.pipeline[1].input_size = (64, 64)
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.update(batch_size=2, num_workers=0, persistent_workers=False)
            loader.dataset.update(
                data_root=str(painted_persons), ann_file='persons.json', data_prefix=dict(img='')
            )
        cfg.val_evaluator.ann_file = str(painted_persons / 'persons.json')
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
        cfg.train_cfg.update(max_epochs=8, val_interval=8)
        cfg.default_hooks.logger.interval = 1
        cfg.work_dir = str(tmp_path / 'run')
        cfg.visualizer.name = cfg.experiment_name = tmp_path.name
        cfg.randomness = dict(seed=0)
        return cfg

    return make


@pytest.mark.slow
@pytest.mark.parametrize('network', ['higherhrnet_hrnet-w32', 'ae_hrnet-w32'])
def test_higherhrnet_learns_and_is_evaluated(network, make_higherhrnet_config):
    """Of two images, one has no labelled person; evaluation takes a third, without any."""
    runner = Runner.from_cfg(make_higherhrnet_config(f'{network}_4xb12-300e_coco'))
    runner.train()
    logged = runner.message_hub.log_scalars
    losses, pushes = (logged[f'train/loss_{name}'].data[0] for name in ('kpt', 'push'))
    assert len(losses) == 8
    assert 0 < losses[-1] < 0.99 * losses[0]
    assert not any(pushes)  # there is one person alone
    assert any(logged['train/loss_pull'].data[0])
    assert logged['val/coco/AP'].current() >= 0


@pytest.mark.slow
def test_higherhrnet_is_tested_alike_with_two_batches_in_work(make_higherhrnet_config, tmp_path):
    predictions = []
    for scope in ('', 'hsjp_mm.Overlap'):
        cfg = make_higherhrnet_config('higherhrnet_hrnet-w32_4xb12-300e_coco')
        cfg.test_dataloader.batch_size = 1
        cfg.test_cfg = dict(type=f'{scope}TestLoop')
        cfg.test_evaluator.outfile_prefix = str(tmp_path / f'persons{scope}')
        runner = Runner.from_cfg(cfg)
        for layer in (runner.model.head.final_layer, *runner.model.head.deconv_final_layers):
            torch.nn.init.normal_(layer.weight, std=2)  # peaks enough to be persons
        runner.test()
        predictions.append((tmp_path / f'persons{scope}.keypoints.json').read_text())
    assert len(json.loads(predictions[0])) > 10
    assert predictions[0] == predictions[1]


@pytest.mark.slow
@pytest.mark.parametrize('pretext', ['hsjp', 'jigclu'])
def test_higherhrnet_starts_from_a_pretext(
    pretext, make_higherhrnet_config, make_model, make_jigclu, tmp_path, log_file
):
    if pretext == 'hsjp':
        model = make_model()
    else:
        backbone = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny
        backbone.extra.stage4.multiscale_output = True
        model = make_jigclu(
            backbone=backbone,
            neck=dict(type='FeatureMapProcessor', concat=True),
            head=dict(type='hsjp_mm.JigCluHead', in_channels=240),
            input_size=(64, 64),
        )
    pretrained = model.state_dict()
    torch.save(dict(state_dict=pretrained), tmp_path / 'pretext.pth')
    name = f'higherhrnet_hrnet-w32_{pretext}-pre-4xb12-300e_coco'
    started = MODELS.build(make_higherhrnet_config(name, str(tmp_path / 'pretext.pth')).model)
    started.init_weights()
    backbone = started.backbone.state_dict()
    assert f'backbone: {len(backbone)} of {len(backbone)} tensors' in log_file.read_text()
    for key, value in backbone.items():
        assert torch.equal(value, pretrained[f'backbone.{key}']), key
