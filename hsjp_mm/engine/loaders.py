"""The training loader of a run, made to begin anew.

An iteration-based loop starts its workers when it is built, before any hook, and each has a copy of
the data set: what a hook changes of it later does not reach them.
"""

from collections.abc import Mapping

from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader


def shared_seed(runner) -> int:
    """The run's seed, the same in all processes."""
    return runner.seed - runner.rank * runner._randomness_cfg.get('diff_rank_seed', False)


def restart_samplers(runner) -> None:
    """Let the samplers begin anew, from the seed of the run.

    An InfiniteSampler goes on from where the workers of an earlier iterator took it, and a resumed
    run's sampler has another seed if the config has none. Samplers that came built stay as they
    are.
    """
    config = runner._train_dataloader
    if not isinstance(config, Mapping):
        return
    loader: DataLoader = runner.train_loop.dataloader
    batches = loader.batch_sampler
    given = dict(dataset=loader.dataset, seed=shared_seed(runner))
    _init_again(batches.sampler, config['sampler'], given)  # type: ignore[union-attr]
    given = dict(sampler=batches.sampler, batch_size=config.get('batch_size'))  # type: ignore[union-attr]
    _init_again(batches, config.get('batch_sampler'), given)


def _init_again(part, config, given: dict) -> None:
    if isinstance(config, Mapping):
        options = {k: v for k, v in config.items() if k not in ('type', '_scope_')}
        part.__init__(**{**given, **options})


def restart_workers(runner) -> None:
    """Give up the workers that run, in favor of others with the data set as it is now."""
    loop = runner.train_loop
    loop.dataloader._iterator = None  # of persistent workers
    if isinstance(loop, IterBasedTrainLoop):
        loop.dataloader_iterator = type(loop.dataloader_iterator)(loop.dataloader)
