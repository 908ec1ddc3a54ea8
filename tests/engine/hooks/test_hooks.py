import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hsjp_mm.datasets import PatchAugmentation
from hsjp_mm.engine import (
    EpochSeedHook,
    PrepareDataHook,
    PuzzleVisualizationHook,
    SkippedImagesHook,
)
from hsjp_mm.models import JigClu
from hsjp_mm.visualization import jigclu_board, puzzle_boards

# ------------------------------------------------------------------------------- skipped images


def fake_runner(samples: int) -> SimpleNamespace:
    return SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=range(samples)),
        message_hub=MessageHub.get_instance(f'skipped-{samples}'),
        logger=MMLogger.get_current_instance(),
    )


def batch(size: int, *skipped: str) -> dict:
    """Data of a batch whose first sample stands in for these images."""
    samples = [BaseDataElement() for _ in range(size)]
    if skipped:
        samples[0].set_metainfo({'skipped': list(skipped)})
    return {'data_samples': samples}


def test_skipped_images_are_counted_and_logged_for_each_epoch(log_file):
    hook, runner = SkippedImagesHook(0.1), fake_runner(samples=30)
    for first, second, count in ((('a.jpg', 'b.jpg'), ('c.jpg',), 3), ((), (), 0)):
        hook.after_train_iter(runner, 0, batch(16, *first))
        assert f'{count} images' not in log_file.read_text()
        hook.after_train_iter(runner, 1, batch(14, *second))
        assert runner.message_hub.get_scalar('train/skipped_images').current() == count
        assert f'{count} images of the last epoch could not be read' in log_file.read_text()


def test_training_stops_above_one_percent_of_an_epoch():
    hook, runner = SkippedImagesHook(), fake_runner(samples=1000)
    for i in range(10):  # 1 %
        hook.after_train_iter(runner, i, batch(8, f'{i}.jpg'))
    with pytest.raises(RuntimeError, match=r'11 images .* of its 1000 samples: 0\.jpg, 1\.jpg'):
        hook.after_train_iter(runner, 10, batch(8, '10.jpg'))


def test_a_long_iteration_based_run_is_not_taken_for_one_epoch():
    hook, runner = SkippedImagesHook(), fake_runner(samples=100)
    for i in range(40):
        hook.after_train_iter(runner, i, batch(100, 'a.jpg'))
    with pytest.raises(RuntimeError, match=r'2 images .* of its 100 samples'):
        hook.after_train_iter(runner, 40, batch(100, 'a.jpg', 'b.jpg'))


@pytest.mark.parametrize('max_share', [-0.1, 1.1])
def test_max_share_is_a_share(max_share):
    with pytest.raises(ValueError, match=rf'max_share={max_share} must be in \[0, 1\]'):
        SkippedImagesHook(max_share)


@pytest.mark.parametrize('max_share', [0.01, 0.5])
def test_a_run_with_one_broken_image_of_six_samples(tiny_config, tiny_coco, tmp_path, max_share):
    shutil.copytree(tiny_coco, tmp_path / 'copy')
    (tmp_path / 'copy/images/2.png').write_bytes(b'no')
    cfg = tiny_config()
    cfg.train_cfg.max_epochs = 1
    cfg.train_dataloader.dataset.data_root = str(tmp_path / 'copy')
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint = None
    cfg.custom_hooks = [dict(type='hsjp_mm.SkippedImagesHook', max_share=max_share)]
    runner = Runner.from_cfg(cfg)
    if max_share == 0.01:
        with pytest.raises(RuntimeError, match=r'images could not be read .*copy/images/2\.png'):
            runner.train()
    else:
        runner.train()
        assert runner.message_hub.get_scalar('train/skipped_images').current() >= 1
        (log,) = (tmp_path / 'tiny').rglob('*.log')
        assert log.read_text().count('copy/images/2.png (instance 15) cannot be read') == 1


# ----------------------------------------------------------------------------------------- seeds


def test_each_epoch_has_a_seed_of_its_own_for_this_process_and_its_workers():
    def draw(seed: int, iteration: int) -> tuple:
        loader = Runner.build_dataloader(
            dict(
                dataset=list(range(4)), batch_size=1, num_workers=1,
                sampler=dict(type='DefaultSampler', shuffle=False), collate_fn=random_collate,
            ),
            seed=seed,
        )  # fmt: skip
        runner = SimpleNamespace(seed=seed, iter=iteration, train_dataloader=loader)
        EpochSeedHook().before_train_epoch(runner)
        main = (torch.rand(1).item(), np.random.rand())  # noqa: NPY002
        return (*main, *loader)

    first, again, later, other = draw(3, 0), draw(3, 0), draw(3, 100), draw(4, 0)
    assert first == again
    assert not {*first} & {*later} and not {*first} & {*other} and not {*later} & {*other}
    assert len({*first}) == len(first)  # the worker does not repeat the main process


def random_collate(batch: list) -> float:
    return np.random.rand()  # noqa: NPY002


# --------------------------------------------------------------------------------------- patches


class PatchCounter(BaseModel):
    """What the hook needs of a model; notes the shapes of the batches."""

    grid, patch_size = 3, (12, 16)
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


def patch_runner(cfg, val_step: str = 'hsjp_mm.PatchAugmentation', **train_cfg) -> Runner:
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
        custom_hooks=[dict(type='hsjp_mm.PrepareDataHook')],
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
def test_the_models_patches_reach_training_and_validation(tiny_config, workers, sampler, train_cfg):
    cfg = tiny_config()
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=workers, persistent_workers=workers > 0)
    cfg.train_dataloader.sampler.type = sampler
    runner = patch_runner(cfg, **train_cfg)
    runner.train()
    assert runner.model.seen == 2 * (six_images('loss') + six_images('predict'))


@pytest.mark.parametrize('run', ['val', 'test'])
def test_the_models_patches_reach_a_validation_or_test_alone(tiny_config, run):
    runner = patch_runner(tiny_config())
    getattr(runner, run)()
    assert runner.model.seen == six_images('predict')


def test_a_pipeline_without_patches_stops_the_run_before_it_trains(tiny_config):
    runner = patch_runner(tiny_config(), val_step='hsjp_mm.ColourAugmentation')
    with pytest.raises(
        ValueError, match=r'val_dataloader\.dataset: no hsjp_mm\.Pat.*needs for its 3×3'
    ):
        runner.train()
    assert runner.model.seen == []
    with pytest.raises(ValueError, match=r'test_dataloader\.dataset: no hsjp_mm\.PatchAugm'):
        runner.test()


def test_the_model_is_found_in_its_wrapper():
    augmentation = PatchAugmentation()
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=[augmentation]))
    runner = SimpleNamespace(
        model=torch.nn.DataParallel(PatchCounter()),
        test_dataloader=SimpleNamespace(dataset=dataset),
    )
    PrepareDataHook().before_test(runner)
    assert (augmentation.grid, augmentation.patch_size) == (3, (12, 16))


# --------------------------------------------------------------------------------- visualisation


def test_boards_of_fixed_instances_go_to_disk_and_tensorboard(tiny_config, tmp_path):
    cfg = tiny_config()
    cfg.visualizer.vis_backends = [{'type': 'LocalVisBackend'}, {'type': 'TensorboardVisBackend'}]
    cfg.train_cfg = cfg.train_dataloader = cfg.optim_wrapper = cfg.param_scheduler = None
    cfg.auto_scale_lr = cfg.default_hooks.checkpoint = None
    cfg.custom_hooks = [dict(type='hsjp_mm.PuzzleVisualizationHook', num_samples=3, interval=2)]
    runner = Runner.from_cfg(cfg)
    folder = tmp_path / 'tiny'
    runner.val()
    assert not list(folder.rglob('*.png'))  # the interval
    metrics = runner.val()
    assert metrics['hsjp/placed_chance'] == 0.25
    files = sorted(folder.rglob('puzzle_*.png'))
    assert [file.name for file in files] == ['puzzle_0_0.png', 'puzzle_1_0.png', 'puzzle_2_0.png']

    dataset = runner.val_dataloader.dataset
    data = runner.model.data_preprocessor(pseudo_collate([dataset[i] for i in range(3)]), False)
    boards = puzzle_boards(runner.model, data['inputs'], [11, 12, 14])
    for file, board in zip(files, boards, strict=True):
        assert np.array_equal(cv2.imread(str(file))[..., ::-1], board)

    images = EventAccumulator(str(next(folder.rglob('events.out*')).parent)).Reload()
    assert images.Tags()['images'] == ['puzzle_0', 'puzzle_1', 'puzzle_2']
    stored = np.frombuffer(images.Images('puzzle_1')[0].encoded_image_string, np.uint8)
    assert np.array_equal(cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1], boards[1])


@pytest.mark.parametrize('options', [dict(num_samples=0), dict(interval=0)])
def test_visualisation_arguments(options):
    with pytest.raises(ValueError, match='must be at least 1'):
        PuzzleVisualizationHook(**options)


def jigclu_runner(cfg, **options) -> Runner:
    """A runner that validates JigClu on six persons, in grids of 2×2 patches of 32×32 pixels."""
    patches = dict(type='hsjp_mm.PatchAugmentation', seed=0)
    cfg.val_dataloader.dataset.pipeline.insert(-1, patches)
    cfg.model.type = 'hsjp_mm.JigClu'
    cfg.model.head = dict(type='hsjp_mm.JigCluHead', in_channels=16)
    cfg.val_evaluator = dict(type='hsjp_mm.JigCluAccuracy')
    cfg.train_cfg = cfg.train_dataloader = cfg.optim_wrapper = cfg.param_scheduler = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.auto_scale_lr = cfg.default_hooks.checkpoint = None
    cfg.custom_hooks = [
        dict(type='hsjp_mm.PrepareDataHook'),
        dict(type='hsjp_mm.PuzzleVisualizationHook', **options),
    ]
    return Runner.from_cfg(cfg)


def test_jigclu_has_one_board_of_several_instances(tiny_config, tmp_path):
    runner = jigclu_runner(tiny_config(), num_samples=5)
    assert 'jigclu/retrieval' in runner.val()
    (file,) = (tmp_path / 'tiny').rglob('puzzle_*.png')
    assert file.name == 'puzzle_0_0.png'
    dataset = runner.val_dataloader.dataset
    data = runner.model.data_preprocessor(pseudo_collate([dataset[i] for i in range(5)]), False)
    board = jigclu_board(runner.model, data['inputs'], [11, 12, 14, 15, 19])
    assert np.array_equal(cv2.imread(str(file))[..., ::-1], board)


def test_jigclu_cannot_be_drawn_with_one_instance(tiny_config):
    runner = jigclu_runner(tiny_config(), num_samples=1)
    with pytest.raises(ValueError, match='num_samples=1 must be at least 2 for JigClu'):
        runner.val()
