"""Pictures of a pretraining while it goes on."""

from mmengine.hooks import Hook

from hsjp_mm.engine.unwrapping import unwrapped
from hsjp_mm.engine.validations import validation_number
from hsjp_mm.registry import HOOKS
from hsjp_mm.visualization import draw_boards


@HOOKS.register_module()
class PuzzleVisualizationHook(Hook):
    """Draw the task of the first validation instances through the runner's visualizer.

    The same instances and tasks each time, so that one can watch them being solved. What a board
    shows is the pretext model's ``board``: HSJP has one for each instance, JigClu one for up to 8.

    Args:
        num_samples: how many instances; at least as many as the task needs, 2 for JigClu.
        interval: draw after every so many validations of a training; a resumed one goes on
            counting.

    Raises:
        ValueError: an argument below 1, or fewer instances than the task needs.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.PuzzleVisualizationHook', num_samples=8)]
    """

    def __init__(self, num_samples: int = 4, interval: int = 1):
        if num_samples < 1 or interval < 1:
            raise ValueError(
                f'num_samples={num_samples} and interval={interval} must be at least 1'
            )
        self.num_samples = num_samples
        self.interval = interval

    def before_run(self, runner) -> None:
        """Refuse fewer instances than the task needs."""
        model = unwrapped(runner.model)
        if self.num_samples < model.min_batch:
            raise ValueError(
                f'num_samples={self.num_samples} must be at least {model.min_batch} for '
                f'{type(model).__name__}, which tells several images apart'
            )

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Draw the boards on the main process."""
        if runner.rank != 0 or validation_number(runner) % self.interval:
            return
        dataset = runner.val_dataloader.dataset
        indices = list(range(min(self.num_samples, len(dataset))))
        for i, (_, board) in enumerate(draw_boards(unwrapped(runner.model), dataset, indices)):
            runner.visualizer.add_image(f'puzzle_{i}', board, step=runner.iter)
