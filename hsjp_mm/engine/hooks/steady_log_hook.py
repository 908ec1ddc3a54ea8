"""A line in the log while the logger is silent."""

import time

from mmengine.hooks import Hook, LoggerHook

from hsjp_mm.registry import HOOKS


@HOOKS.register_module()
class SteadyLogHook(Hook):
    """Log where a run is when nothing was logged for a while.

    The stock LoggerHook speaks every 50 iterations, or at the end of an epoch that has fewer: on a
    CPU, or with large batches, minutes pass without a word. This one writes the same line between,
    to the log alone, so that curves and scalars stay those of the LoggerHook. `hsjp-mm train` and
    `hsjp-mm test` add it.

    Args:
        seconds: the longest silence.

    Raises:
        ValueError: ``seconds`` is not positive.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.SteadyLogHook', seconds=60)]
    """

    priority = 'VERY_LOW'  # after LoggerHook, which has spoken then or not

    def __init__(self, seconds: float = 30):
        if not seconds > 0:
            raise ValueError(f'seconds={seconds} must be positive')
        self.seconds = seconds
        self.last = time.monotonic()

    def _before_epoch(self, runner, mode: str = 'train') -> None:
        self.last = time.monotonic()

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode='train') -> None:
        now = time.monotonic()
        logger = next((hook for hook in runner.hooks if isinstance(hook, LoggerHook)), None)
        if logger is not None and self._has_spoken(logger, runner, batch_idx, mode):
            self.last = now
        elif now - self.last >= self.seconds:
            self.last = now
            _, line = runner.log_processor.get_log_after_iter(runner, batch_idx, mode)
            runner.logger.info(line)

    def _has_spoken(self, logger: LoggerHook, runner, batch_idx: int, mode: str) -> bool:
        if self.every_n_inner_iters(batch_idx, logger.interval):
            return True
        if mode != 'train':  # the logger has a last word in training alone
            return False
        loader = runner.train_dataloader
        return self.end_of_epoch(loader, batch_idx) and (
            not logger.ignore_last or len(loader) <= logger.interval
        )
