from types import SimpleNamespace

import numpy as np
import torch
from mmengine.runner import Runner

from hsjp_mm.engine import EpochSeedHook


def test_each_epoch_has_a_seed_of_its_own_for_this_process_and_its_workers():
    def draw(seed: int, iteration: int) -> tuple:
        loader = Runner.build_dataloader(
            dict(
                dataset=list(range(4)), batch_size=1, num_workers=1,
                sampler=dict(type='DefaultSampler', shuffle=False), collate_fn=random_collate,
            ),
            seed=seed,
        )  # fmt: skip
        runner = SimpleNamespace(seed=seed, iter=iteration, train_dataloader=loader)
        EpochSeedHook().before_train_epoch(runner)
        main = (torch.rand(1).item(), np.random.rand())  # noqa: NPY002
        return (*main, *loader)

    first, again, later, other = draw(3, 0), draw(3, 0), draw(3, 100), draw(4, 0)
    assert first == again
    assert not {*first} & {*later} and not {*first} & {*other} and not {*later} & {*other}
    assert len({*first}) == len(first)  # the worker does not repeat the main process


def random_collate(batch: list) -> float:
    return np.random.rand()  # noqa: NPY002
