"""How many images could not be read."""

import math

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from hsjp_mm.registry import HOOKS


@HOOKS.register_module()
class SkippedImagesHook(Hook):
    """Count the images that PersonCropDataset could not read, and stop if there are too many.

    After each epoch, or as many samples in an iteration-based run, the count of all processes is
    logged (``train/skipped_images``). A resumed run goes on counting, but without those of the
    other processes since the last count: only the main one writes the checkpoint.

    Args:
        max_share: training stops when more than this share of an epoch's samples were skipped.

    Raises:
        ValueError: ``max_share`` outside [0, 1].
        RuntimeError: too many were skipped; with the number and the first paths.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.SkippedImagesHook', max_share=0.001)]
    """

    def __init__(self, max_share: float = 0.01):
        if not 0 <= max_share <= 1:
            raise ValueError(f'max_share={max_share} must be in [0, 1]')
        self.max_share = max_share
        self.samples = 0
        self.skipped: list[str] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Add what the batch's samples stand in for."""
        self.samples += len(data_batch['data_samples'])
        for sample in data_batch['data_samples']:
            self.skipped += sample.metainfo.get('skipped', ())
        epoch = _epoch_length(runner)
        if len(self.skipped) > self.max_share * epoch:
            raise RuntimeError(
                f'{len(self.skipped)} images could not be read in this epoch, more than '
                f'max_share={self.max_share} of its {epoch} samples: '
                f'{", ".join(self.skipped[:10])}{" …" if len(self.skipped) > 10 else ""}'
            )
        if self.samples >= epoch and isinstance(runner.train_loop, IterBasedTrainLoop):
            self._log(runner)

    def after_train_epoch(self, runner) -> None:
        """Log the count of an epoch, which ``drop_last`` may have left short."""
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._log(runner)

    def before_save_checkpoint(self, runner, checkpoint) -> None:
        """Save what has been counted since the last log."""
        checkpoint['skipped_images'] = dict(samples=self.samples, paths=self.skipped)

    def after_load_checkpoint(self, runner, checkpoint) -> None:
        """Go on counting if the run is resumed."""
        if runner._resume and 'skipped_images' in checkpoint:
            self.samples = checkpoint['skipped_images']['samples']
            self.skipped = checkpoint['skipped_images']['paths'] if runner.rank == 0 else []

    def _log(self, runner) -> None:
        count = torch.tensor(len(self.skipped))
        all_reduce(count)
        runner.message_hub.update_scalar('train/skipped_images', int(count))
        runner.logger.info(f'{int(count)} images of the last epoch could not be read')
        self.samples, self.skipped = 0, []


def _epoch_length(runner) -> int:
    """How many samples a process draws in an epoch, which only its sampler knows.

    That of a run by iterations goes on without end: a pass through the data set is an epoch there.
    """
    loader = runner.train_dataloader
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        return math.ceil(len(loader.dataset) / get_world_size())
    return len(loader.sampler)
