"""What the data pipelines must know of the model."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop

from hsjp_mm.datasets import set_patches
from hsjp_mm.registry import HOOKS


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


def _model(runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
