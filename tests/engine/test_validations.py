from types import SimpleNamespace

import pytest
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from hsjp_mm.engine.validations import validation_number


def numbers(cls: type, progress: int, start: int = 0, **options) -> dict[int, int]:
    """Run one of MMEngine's loops, and number the validations by epoch or iteration."""
    found = {}

    def validate():
        found[loop.epoch if cls is EpochBasedTrainLoop else loop.iter] = validation_number(runner)

    runner = SimpleNamespace(
        _randomness_cfg={}, seed=0, call_hook=lambda *args, **kwargs: None, optim_wrapper=None,
        model=SimpleNamespace(train=lambda: None, train_step=lambda *args, **kwargs: {}),
        val_loop=SimpleNamespace(run=validate),
    )  # fmt: skip
    loader = DataLoader([0] * (1 if cls is EpochBasedTrainLoop else progress))
    loop = runner._train_loop = cls(runner, loader, progress, **options)
    loop._epoch = loop._iter = start
    loop.run()
    return found


OPTIONS = [
    dict(val_interval=1),
    dict(val_interval=3),
    dict(val_interval=7, val_begin=8),
    dict(val_interval=40),
    dict(val_interval=5, dynamic_intervals=[(12, 2)]),
    dict(val_interval=4, val_begin=10, dynamic_intervals=[(3, 6), (14, 1), (19, 2)]),
    dict(val_interval=2, dynamic_intervals=[(2, 3), (100, 1)]),
]


@pytest.mark.slow
@pytest.mark.parametrize('cls', [EpochBasedTrainLoop, IterBasedTrainLoop])
@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_validations_are_numbered_as_they_come_and_on_after_a_resume(cls, options):
    found = numbers(cls, 23, **options)
    assert list(found.values()) == list(range(1, len(found) + 1))
    assert 23 in found
    for start in range(1, 23):
        assert numbers(cls, 23, start, **options) == {t: n for t, n in found.items() if t > start}


@pytest.mark.parametrize('loop', [None, dict(by_epoch=True)])
def test_a_validation_alone_has_the_number_0(loop):
    assert validation_number(SimpleNamespace(_train_loop=loop)) == 0
