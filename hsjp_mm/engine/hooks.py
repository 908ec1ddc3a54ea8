"""Hooks of pretraining."""

import math
from functools import partial

import numpy as np
import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, set_random_seed

from hsjp_mm.datasets import set_patches
from hsjp_mm.models.pretext import JigClu
from hsjp_mm.registry import HOOKS
from hsjp_mm.visualization import draw_boards


@HOOKS.register_module()
class SkippedImagesHook(Hook):
    """Count the images that PersonCropDataset could not read, and stop if there are too many.

    After each epoch, or as many samples in an iteration-based run, the count of all processes is
    logged (``train/skipped_images``).

    Args:
        max_share: training stops when more than this share of an epoch's samples were skipped.

    Raises:
        ValueError: ``max_share`` outside [0, 1].
        RuntimeError: too many were skipped; with the number and the first paths.
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
        epoch = math.ceil(len(runner.train_dataloader.dataset) / get_world_size())
        if len(self.skipped) > self.max_share * epoch:
            raise RuntimeError(
                f'{len(self.skipped)} images could not be read in this epoch, more than '
                f'max_share={self.max_share} of its {epoch} samples: '
                f'{", ".join(self.skipped[:10])}{" …" if len(self.skipped) > 10 else ""}'
            )
        if self.samples >= epoch:
            self._log(runner)

    def _log(self, runner) -> None:
        count = torch.tensor(len(self.skipped))
        all_reduce(count)
        runner.message_hub.update_scalar('train/skipped_images', int(count))
        runner.logger.info(f'{int(count)} images of the last epoch could not be read')
        self.samples, self.skipped = 0, []


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed the random numbers of each epoch anew, by the runner's seed and the iteration.

    MMEngine's checkpoints hold no random state; with this hook a resumed run draws the same
    puzzles as an uninterrupted one. The data pipeline does too, unless its workers are persistent:
    those live through the epochs with the draws that they began with.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        """Seed this process, and the workers that it is going to start."""
        states = np.random.SeedSequence([runner.seed, runner.iter]).generate_state(2)
        own, workers = (states >> 1).tolist()  # workers add their number, and NumPy takes 32 bits
        set_random_seed(own)
        loader = runner.train_dataloader
        if 'seed' in getattr(loader.worker_init_fn, 'keywords', ()):
            loader.worker_init_fn = partial(loader.worker_init_fn, seed=workers)


@HOOKS.register_module()
class PatchHook(Hook):
    """Tell the data pipelines how many patches the model wants, and of what size.

    So they stand once, on the model: its ``grid`` and ``patch_size``, (width, height) in pixels,
    go to every :class:`~hsjp_mm.datasets.PatchAugmentation` before the loaders start their workers.

    Raises:
        ValueError: a data set has no PatchAugmentation in its pipeline.
    """

    def before_train(self, runner) -> None:
        """Tell the pipelines of training and of the validations in between."""
        loop = runner.train_loop
        # IterBasedTrainLoop started its workers when it was built, before any hook: start others
        restart = isinstance(loop, IterBasedTrainLoop) and loop.dataloader.num_workers > 0
        if restart:
            loop.dataloader = runner.build_dataloader(
                runner._train_dataloader,
                runner.seed,
                runner._randomness_cfg.get('diff_rank_seed', False),
            )
        _tell(runner, 'train', loop.dataloader)
        if restart:
            loop.dataloader_iterator = type(loop.dataloader_iterator)(loop.dataloader)
        if runner.val_loop is not None:
            _tell(runner, 'val', runner.val_dataloader)

    def before_val(self, runner) -> None:
        """Tell the validation pipeline."""
        _tell(runner, 'val', runner.val_dataloader)

    def before_test(self, runner) -> None:
        """Tell the test pipeline."""
        _tell(runner, 'test', runner.test_dataloader)


def _tell(runner, name: str, loader) -> None:
    model = _model(runner)
    if not set_patches(loader.dataset, model.grid, model.patch_size):
        raise ValueError(
            f'{name}_dataloader.dataset has no hsjp_mm.PatchAugmentation in its pipeline, which '
            f'{type(model).__name__} needs for its {model.grid}×{model.grid} patches'
        )


@HOOKS.register_module()
class PuzzleVisualizationHook(Hook):
    """Draw the puzzles of the first validation instances through the runner's visualizer.

    The same instances and puzzles each time, so that one can watch them being solved. HSJP has a
    board for each instance, JigClu one for up to 8.

    Args:
        num_samples: how many instances; 2 or more for JigClu.
        interval: draw after every so many validations.

    Raises:
        ValueError: an argument below 1, or a single instance for JigClu.
    """

    def __init__(self, num_samples: int = 4, interval: int = 1):
        if num_samples < 1 or interval < 1:
            raise ValueError(
                f'num_samples={num_samples} and interval={interval} must be at least 1'
            )
        self.num_samples = num_samples
        self.interval = interval
        self.validations = 0

    def before_run(self, runner) -> None:
        """Refuse a single instance for JigClu."""
        if self.num_samples < 2 and isinstance(_model(runner), JigClu):
            raise ValueError(
                f'num_samples={self.num_samples} must be at least 2 for JigClu, which tells the '
                'patches of several images apart'
            )

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Draw the boards on the main process."""
        self.validations += 1
        if runner.rank != 0 or self.validations % self.interval:
            return
        dataset = runner.val_dataloader.dataset
        indices = list(range(min(self.num_samples, len(dataset))))
        for i, (_, board) in enumerate(draw_boards(_model(runner), dataset, indices)):
            runner.visualizer.add_image(f'puzzle_{i}', board, step=runner.iter)


def _model(runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
