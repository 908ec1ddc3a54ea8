"""Random numbers that a resumed run draws again."""

import logging
from collections.abc import Mapping

from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop, set_random_seed

from hsjp_mm.datasets.sample_seeds import SeededSampler, seed_samples
from hsjp_mm.engine.loaders import restart_samplers, restart_workers, shared_seed
from hsjp_mm.ops.seeds import derived_seed
from hsjp_mm.registry import HOOKS
from hsjp_mm.utils.moved import old_class


@HOOKS.register_module()
class SeedHook(Hook):
    """Let a resumed run go on as if it had never stopped, to the last bit.

    For pretraining and for fine-tuning.

    MMEngine's checkpoints hold no random state. With this hook nothing depends on any: before each
    step this process is seeded from the run's seed and the number of the iteration, and before each
    training sample whoever loads it, from the run's seed, the epoch and the sample's place in the
    order of the samples. So what a run draws depends neither on where it was stopped, nor on the
    number of the workers or whether they persist, nor on what validations and other hooks draw. The
    order of the samples follows from the run's seed, also where the config has none and the
    checkpoint alone knows it. In a distributed run all processes are seeded alike, as by MMEngine,
    unless ``randomness.diff_rank_seed`` is set, and before a checkpoint they average their buffers,
    such as the running statistics of batch norm.

    Iteration-based and epoch-based loops resume exactly, the latter from the end of an epoch. What
    no checkpoint of MMEngine holds cannot: gradients that are being accumulated (a warning says
    so), the state of transforms with generators of their own, and the last size of
    BatchSyncRandomResize. On a GPU, two runs are equal only with ``randomness.deterministic``.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.SeedHook')]
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        """Seed the samples; not earlier, for other hooks change the loader before training."""
        loop = runner.train_loop
        sampler = getattr(loop.dataloader.batch_sampler, 'sampler', None)
        if not isinstance(sampler, SeededSampler):
            sampler = self._seed_samples(runner)
        if not isinstance(loop, IterBasedTrainLoop):
            sampler.epoch = runner.epoch

    def _seed_samples(self, runner) -> SeededSampler:
        restart_samplers(runner)
        sampler = seed_samples(runner.train_loop.dataloader, shared_seed(runner))
        restart_workers(runner)
        return sampler

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Seed this process for the step."""
        set_random_seed(derived_seed('step', runner.seed, runner.iter))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Average the buffers of all processes if a checkpoint is due.

        It holds those of the main process alone. SyncBuffersHook averages them after an epoch, but
        in an iteration-based loop before a validation, and that comes after the checkpoint.
        """
        if get_world_size() > 1 and any(_is_due(hook, runner) for hook in runner.hooks):
            all_reduce_params(runner.model.buffers(), op='mean')

    def before_save_checkpoint(self, runner, checkpoint) -> None:
        """Warn of gradients that the checkpoint does not hold."""
        wrappers = runner.optim_wrapper
        for wrapper in wrappers.values() if isinstance(wrappers, Mapping) else [wrappers]:
            every = wrapper._accumulative_counts
            if wrapper._inner_count % every:
                print_log(
                    f'the checkpoint of iteration {wrapper._inner_count} lacks the gradients '
                    f'accumulated since the last step of the optimizer, of '
                    f'accumulative_counts={every}: a run that resumes from it will differ. Let '
                    "the CheckpointHook's interval be a multiple",
                    'current',
                    logging.WARNING,
                )


def _is_due(hook: Hook, runner) -> bool:
    """Whether a hook saves a checkpoint after this iteration."""
    return (
        isinstance(hook, CheckpointHook)
        and not hook.by_epoch
        and (
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or (hook.save_last and hook.is_last_train_iter(runner))
        )
    )


EpochSeedHook = old_class('EpochSeedHook', SeedHook)
HOOKS.register_module(module=EpochSeedHook)
