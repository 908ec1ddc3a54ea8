import shutil
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.structures import BaseDataElement

from hsjp_mm.engine import SkippedImagesHook


def fake_runner(samples: int, loop: type = IterBasedTrainLoop, **options) -> SimpleNamespace:
    return SimpleNamespace(
        train_loop=loop.__new__(loop),
        train_dataloader=SimpleNamespace(dataset=range(samples), sampler=range(samples)),
        message_hub=MessageHub.get_instance(f'skipped-{samples}'),
        logger=MMLogger.get_current_instance(),
        **options,
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


def test_an_epoch_is_as_long_as_its_sampler():
    """FixedLengthSampler and SharesSampler draw more samples, or fewer, than a data set has."""
    hook, runner = SkippedImagesHook(0.02), fake_runner(100, EpochBasedTrainLoop)
    runner.train_dataloader.sampler = range(1000)
    for _ in range(20):
        hook.after_train_iter(runner, 0, batch(8, 'a.jpg'))
    with pytest.raises(RuntimeError, match=r'21 images .* more than max_share=0.02 of its 1000'):
        hook.after_train_iter(runner, 0, batch(8, 'a.jpg'))


def test_an_epoch_that_drop_last_left_short_is_logged_when_it_ends(log_file):
    hook, runner = SkippedImagesHook(0.1), fake_runner(30, EpochBasedTrainLoop)
    for count in (2, 1):
        for i in range(3):  # 3 batches of 8 are 24 of 30 samples
            hook.after_train_iter(runner, i, batch(8, *(['a.jpg'] * count if i == 1 else [])))
        assert f'{count} images' not in log_file.read_text()
        hook.after_train_epoch(runner)
        assert f'{count} images of the last epoch could not be read' in log_file.read_text()


def test_a_full_epoch_is_logged_once():
    hook, runner = SkippedImagesHook(0.1), fake_runner(16, EpochBasedTrainLoop)
    hook.after_train_iter(runner, 0, batch(16, 'a.jpg'))
    hook.after_train_epoch(runner)
    assert runner.message_hub.get_scalar('train/skipped_images').data[0].tolist() == [1]


@pytest.mark.parametrize(('rank', 'count'), [(0, 3), (1, 1)])
def test_a_resumed_run_goes_on_counting(rank, count):
    first, runner = SkippedImagesHook(0.1), fake_runner(samples=100 + rank, rank=rank, _resume=True)
    first.after_train_iter(runner, 0, batch(60, 'a.jpg', 'b.jpg'))
    checkpoint = {}
    first.before_save_checkpoint(runner, checkpoint)
    hook = SkippedImagesHook(0.1)
    hook.after_load_checkpoint(runner, checkpoint)
    hook.after_train_iter(runner, 1, batch(41, 'c.jpg'))
    assert runner.message_hub.get_scalar('train/skipped_images').current() == count


def test_training_from_the_weights_of_a_run_counts_anew():
    hook = SkippedImagesHook()
    runner = SimpleNamespace(_resume=False, rank=0)
    hook.after_load_checkpoint(runner, {'skipped_images': dict(samples=5, paths=['a.jpg'])})
    assert (hook.samples, hook.skipped) == (0, [])


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


@pytest.mark.slow
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
