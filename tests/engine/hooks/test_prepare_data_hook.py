from types import SimpleNamespace

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from hsjp_mm.datasets import PatchAugmentation
from hsjp_mm.engine import PatchHook, PrepareDataHook
from hsjp_mm.models import JigClu


class PatchCounter(BaseModel):
    """What the hook needs of a model; notes the shapes of the batches."""

    grid, patch_size, input_size = 3, (12, 16), (36, 48)
    overlap = position = None
    prepare = JigClu.prepare

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple] = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.seen += [(mode, *image.shape) for image in inputs]
        return {'loss': self.weight.sum()} if mode == 'loss' else data_samples


class NoMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        pass

    def compute_metrics(self, results):
        return {}


def patch_runner(cfg, val_step: str = 'hsjp_mm.PatchAugmentation', hooks=(), **train_cfg) -> Runner:
    """A runner of three training and three validation batches of two."""
    train, val = cfg.train_dataloader, cfg.val_dataloader
    for loader, added in ((train, 'hsjp_mm.PatchAugmentation'), (val, val_step)):
        steps = loader.dataset.pipeline
        kept = [step for step in steps if not step.type.startswith('hsjp_mm')]
        loader.dataset.pipeline = [*kept[:-1], dict(type=added), kept[-1]]
    return Runner(
        PatchCounter(),
        cfg.work_dir,
        train_dataloader=train,
        val_dataloader=val,
        test_dataloader=val,
        train_cfg=train_cfg or dict(by_epoch=True, max_epochs=1),
        val_cfg={},
        test_cfg={},
        val_evaluator=[NoMetric()],
        test_evaluator=[NoMetric()],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='hsjp_mm.PrepareDataHook'), *hooks],
        experiment_name=cfg.experiment_name,
        randomness=dict(seed=0),
        default_scope='mmpose',
    )


def six_images(mode: str) -> list[tuple]:
    return [(mode, 3, 9 * 16, 12)] * 6


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize(
    ('sampler', 'train_cfg'),
    [
        ('DefaultSampler', dict(by_epoch=True, max_epochs=2, val_interval=1)),
        ('InfiniteSampler', dict(by_epoch=False, max_iters=6, val_interval=3)),
    ],
    ids=['epochs', 'iterations'],
)
@pytest.mark.parametrize('seeded', [False, True])
@pytest.mark.slow
def test_the_models_patches_reach_training_and_validation(
    tiny_config, workers, sampler, train_cfg, seeded
):
    cfg = tiny_config()
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=workers, persistent_workers=workers > 0)
    cfg.train_dataloader.sampler.type = sampler
    hooks = [dict(type='hsjp_mm.SeedHook')] if seeded else []
    runner = patch_runner(cfg, hooks=hooks, **train_cfg)
    loader = runner.train_loop.dataloader
    runner.train()
    assert runner.train_loop.dataloader is loader  # the data set is read once
    assert runner.model.seen == 2 * (six_images('loss') + six_images('predict'))


def test_a_training_whose_epochs_have_no_batch_is_refused(tiny_config):
    cfg = tiny_config()
    cfg.train_dataloader.update(batch_size=64, drop_last=True)
    runner = patch_runner(cfg)
    with pytest.raises(ValueError, match=r'batch_size=64 must be at most the 6 samples'):
        runner.train()


@pytest.mark.parametrize('run', ['val', 'test'])
def test_the_models_patches_reach_a_validation_or_test_alone(tiny_config, run):
    runner = patch_runner(tiny_config())
    getattr(runner, run)()
    assert runner.model.seen == six_images('predict')


@pytest.mark.slow
def test_a_pipeline_without_patches_stops_the_run_before_it_trains(tiny_config):
    runner = patch_runner(tiny_config(), val_step='hsjp_mm.ColorAugmentation')
    with pytest.raises(ValueError, match=r'val_dataloader\.dataset: no hsjp_mm.*for its 3×3'):
        runner.train()
    assert runner.model.seen == []
    with pytest.raises(ValueError, match=r'test_dataloader\.dataset: no hsjp_mm\.PatchAugm'):
        runner.test()


@pytest.mark.parametrize('counts', [1, 3])
@pytest.mark.slow
def test_the_model_is_told_what_a_step_gathers(tiny_config, counts):
    cfg = tiny_config()
    cfg.optim_wrapper.accumulative_counts = counts
    cfg.custom_hooks = [dict(type='hsjp_mm.PrepareDataHook')]
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.model.accumulative_counts == counts


def test_the_model_is_found_in_its_wrapper():
    augmentation = PatchAugmentation()
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=[augmentation]))
    runner = SimpleNamespace(
        model=torch.nn.DataParallel(PatchCounter()),
        test_dataloader=SimpleNamespace(dataset=dataset),
    )
    PrepareDataHook().before_test(runner)
    assert (augmentation.grid, augmentation.patch_size) == (3, (12, 16))


def test_the_hooks_name_of_version_0_1_warns_and_does_the_same():
    with pytest.warns(FutureWarning, match='PatchHook is now PrepareDataHook'):
        hook = HOOKS.build(dict(type='hsjp_mm.PatchHook'))
    assert isinstance(hook, PatchHook) and isinstance(hook, PrepareDataHook)


def test_a_model_with_nothing_to_tell_leaves_the_data_alone(make_model):
    runner = SimpleNamespace(model=make_model(), test_dataloader=SimpleNamespace(dataset=object()))
    PrepareDataHook().before_test(runner)
