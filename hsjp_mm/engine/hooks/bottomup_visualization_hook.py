"""Pictures of a bottom-up model while it trains."""

from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook

from hsjp_mm.engine.unwrapping import unwrapped
from hsjp_mm.engine.validations import validation_number
from hsjp_mm.registry import HOOKS
from hsjp_mm.visualization.bottomup import draw_bottomup


@HOOKS.register_module()
class BottomupVisualizationHook(Hook):
    """Draw the poses, tags and heat maps of the first validation images.

    The boards are those of :func:`~hsjp_mm.visualization.draw_bottomup` and go to the runner's
    visualizer, from the main process, after a validation.

    Args:
        num_images: how many images, from the first of the validation set.
        interval: draw after every so many validations of a training; a resumed one goes on
            counting.

    Raises:
        ValueError: an argument below 1.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.BottomupVisualizationHook', num_images=8)]
    """

    def __init__(self, num_images: int = 4, interval: int = 1):
        if num_images < 1 or interval < 1:
            raise ValueError(f'num_images={num_images} and interval={interval} must be at least 1')
        self.num_images = num_images
        self.interval = interval

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Draw the boards, one image at a time."""
        if runner.rank != 0 or validation_number(runner) % self.interval:
            return
        model = unwrapped(runner.model)
        dataset = runner.val_dataloader.dataset
        links = dataset.metainfo['skeleton_links']
        for i in range(min(self.num_images, len(dataset))):
            (board,) = draw_bottomup(model, pseudo_collate([dataset[i]]), links)
            runner.visualizer.add_image(f'bottomup_{i}', board, step=runner.iter)
