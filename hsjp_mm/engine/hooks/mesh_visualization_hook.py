"""Pictures of a mesh regressor while it trains."""

from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook

from hsjp_mm.engine.unwrapping import unwrapped
from hsjp_mm.engine.validations import validation_number
from hsjp_mm.registry import HOOKS
from hsjp_mm.visualization.mesh_predictions import draw_mesh_predictions


@HOOKS.register_module()
class MeshVisualizationHook(Hook):
    """Draw the bodies of the first validation persons.

    The boards show the person, the predicted body over it, from the side and from above with the
    labelled one in gray, and where each joint looks if the head tells parts. They go to the
    runner's visualizer, from the main process, after a validation.

    Args:
        num_persons: How many, from the first of the validation set.
        interval: Draw after every so many validations of a training; a resumed one goes on
            counting.

    Raises:
        ValueError: An argument below 1.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.MeshVisualizationHook', num_persons=8)]
    """

    def __init__(self, num_persons: int = 4, interval: int = 1):
        if num_persons < 1 or interval < 1:
            raise ValueError(
                f'num_persons={num_persons} and interval={interval} must be at least 1'
            )
        self.num_persons = num_persons
        self.interval = interval

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Draw the boards, one person at a time."""
        if runner.rank != 0 or validation_number(runner) % self.interval:
            return
        model = unwrapped(runner.model)
        dataset = runner.val_dataloader.dataset
        for i in range(min(self.num_persons, len(dataset))):
            (board,) = draw_mesh_predictions(model, pseudo_collate([dataset[i]]))
            runner.visualizer.add_image(f'mesh_{i}', board, step=runner.iter)
