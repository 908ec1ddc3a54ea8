"""What the data workers must know of the model."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop

from hsjp_mm.registry import HOOKS
from hsjp_mm.utils.moved import old_class


@HOOKS.register_module()
class PrepareDataHook(Hook):
    """Have a pretext model tell the data pipelines what they must know of it.

    So a number stands once, on the model, and an ablation is a line of its config. The model's
    ``prepare`` gets every data set before the loaders start their workers; that of JigClu tells
    :class:`~hsjp_mm.datasets.PatchAugmentation` the number and size of the patches.

    Raises:
        ValueError: a data set cannot be prepared; the message names its loader.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.PrepareDataHook')]
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
        _prepare(runner, 'train', loop.dataloader)
        if restart:
            loop.dataloader_iterator = type(loop.dataloader_iterator)(loop.dataloader)
        if runner.val_loop is not None:
            _prepare(runner, 'val', runner.val_dataloader)

    def before_val(self, runner) -> None:
        """Tell the validation pipeline."""
        _prepare(runner, 'val', runner.val_dataloader)

    def before_test(self, runner) -> None:
        """Tell the test pipeline."""
        _prepare(runner, 'test', runner.test_dataloader)


PatchHook = old_class('PatchHook', PrepareDataHook)
HOOKS.register_module(module=PatchHook)


def _prepare(runner, name: str, loader) -> None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    try:
        model.prepare(loader.dataset)
    except ValueError as error:
        raise ValueError(f'{name}_dataloader.dataset: {error}') from error
