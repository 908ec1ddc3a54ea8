"""What the data workers must know of the model."""

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from hsjp_mm.engine.hooks.seed_hook import SeedHook
from hsjp_mm.engine.loaders import restart_samplers, restart_workers
from hsjp_mm.engine.unwrapping import unwrapped
from hsjp_mm.registry import HOOKS
from hsjp_mm.utils.moved import old_class


@HOOKS.register_module()
class PrepareDataHook(Hook):
    """Have a pretext model tell the data pipelines what they must know of it.

    So a number stands once, on the model, and an ablation is a line of its config. The model's
    ``prepare`` gets every data set before the loaders start their workers; that of JigClu tells
    :class:`~hsjp_mm.datasets.PatchAugmentation` the number and size of the patches. The model is
    told how many batches a step of the optimizer gathers.

    Raises:
        ValueError: a data set cannot be prepared, the message names its loader; or an epoch of the
            training has no batch, for the data set is smaller than one.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.PrepareDataHook')]
    """

    def before_train(self, runner) -> None:
        """Tell the pipelines of training and of the validations in between."""
        loop = runner.train_loop
        model = unwrapped(runner.model)
        if hasattr(model, 'accumulative_counts'):
            # MMEngine has no public name for it
            model.accumulative_counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        _prepare(runner, 'train', loop.dataloader)
        if isinstance(loop, EpochBasedTrainLoop):
            _require_a_batch(loop.dataloader)
        started = isinstance(loop, IterBasedTrainLoop) and loop.dataloader.num_workers > 0
        # SeedHook restarts them all when the first step begins
        if started and not any(isinstance(hook, SeedHook) for hook in runner.hooks):
            restart_samplers(runner)
            restart_workers(runner)
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


def _require_a_batch(loader) -> None:
    """Refuse epochs that would all pass without a step."""
    if len(loader) == 0:
        raise ValueError(
            f'train_dataloader.batch_size={loader.batch_size} must be at most the '
            f'{len(loader.sampler)} samples that each process has, for drop_last=True leaves out '
            'a smaller batch, and no step would be taken'
        )


def _prepare(runner, name: str, loader) -> None:
    try:
        unwrapped(runner.model).prepare(loader.dataset)
    except ValueError as error:
        raise ValueError(f'{name}_dataloader.dataset: {error}') from error
