"""Puzzles that lie straight at first."""

from mmengine.hooks import Hook

from hsjp_mm.engine.unwrapping import unwrapped
from hsjp_mm.registry import HOOKS


@HOOKS.register_module()
class SpatialWarmupHook(Hook):
    """Let the spatial augmentation of HSJP's puzzles grow from nothing to all of it.

    It is no part of the HSJP paper. A patch that is not scaled, turned and moved lies in one of N²
    places, so that the first thing to learn is what a patch shows. The share of
    ``scale_factor``, ``rotate_factor`` and ``shift_factor`` that a training puzzle gets is
    iteration / ``iters``, and 1 from there on. Evaluation puzzles are never augmented.

    The share depends on the number of the iteration alone, so that a resumed run goes on as if it
    had not stopped.

    Args:
        iters: iterations until all of the augmentation is there.

    Raises:
        ValueError: ``iters`` is below 1; a model that is no :class:`~hsjp_mm.models.HSJP`.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.SpatialWarmupHook', iters=400)]
    """

    def __init__(self, iters: int):
        if iters < 1:
            raise ValueError(f'iters={iters} must be at least 1')
        self.iters = iters

    def before_run(self, runner) -> None:
        """Refuse a model without such an augmentation."""
        model = unwrapped(runner.model)
        if not hasattr(model, 'spatial_strength'):
            raise ValueError(
                f'SpatialWarmupHook is for hsjp_mm.HSJP, and the model is a {type(model).__name__}'
            )

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Set the share of this iteration."""
        unwrapped(runner.model).spatial_strength = min(1.0, runner.iter / self.iters)
