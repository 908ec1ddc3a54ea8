"""Random numbers that a resumed run draws again."""

from functools import partial

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import set_random_seed

from hsjp_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed the random numbers of each epoch anew, by the runner's seed and the iteration.

    MMEngine's checkpoints hold no random state; with this hook a resumed run draws the same
    puzzles as an uninterrupted one. The data pipeline does too, unless its workers are persistent:
    those live through the epochs with the draws that they began with.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        """Seed this process, and the workers that it is going to start."""
        states = np.random.SeedSequence([runner.seed, runner.iter]).generate_state(2)
        own, workers = (states >> 1).tolist()  # workers add their number, and NumPy takes 32 bits
        set_random_seed(own)
        loader = runner.train_dataloader
        if 'seed' in getattr(loader.worker_init_fn, 'keywords', ()):
            loader.worker_init_fn = partial(loader.worker_init_fn, seed=workers)
