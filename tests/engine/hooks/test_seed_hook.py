import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from hsjp_mm.engine import EpochSeedHook, SeedHook

STEPS, BATCH = 8, 2
EPOCHS = dict(by_epoch=True, max_epochs=4)
ITERATIONS = dict(by_epoch=False, max_iters=STEPS)
LOOPS = pytest.mark.parametrize('loop', [EPOCHS, ITERATIONS], ids=['epochs', 'iterations'])
SEED_HOOK = dict(type='hsjp_mm.SeedHook')


def draw() -> tuple[float, float, float]:
    """A number of each generator."""
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


class Draws(torch.utils.data.Dataset):
    """Four samples: the index, and what is drawn for it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[float, ...]:
        return (index, *draw())

    def get_data_info(self, index: int) -> dict:
        """What mmdet's AspectRatioBatchSampler sorts by."""
        return {'width': 1 + index % 2, 'height': 2}


def collate(batch: list) -> list[torch.Tensor]:
    """Batch the samples, (B, 4), and what is drawn when they are put together, (3,)."""
    return [torch.tensor(batch).double(), torch.tensor(draw()).double()]


class DrawingModel(BaseModel):
    """Notes by step the indices of the samples, and all that was drawn for them and in it."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.steps: list[tuple[list, list]] = []

    def forward(self, *inputs, mode='tensor'):
        return {'loss': self.weight.sum()}

    def train_step(self, data, optim_wrapper):
        samples, batch = data
        drawn = [*samples[:, 1:].flatten().tolist(), *batch.tolist(), *draw(), *draw()]
        self.steps.append((samples[:, 0].tolist(), drawn))
        return super().train_step(data, optim_wrapper)


class DrawBetween(Hook):
    """Draws numbers between the steps, as validations do."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        for _ in range(runner.iter % 3):
            draw()


def train(
    folder: Path,
    loop: dict,
    resume: int = 0,
    seed: int | None = 0,
    hooks: tuple = (SEED_HOOK,),
    loader: dict | None = None,
    **options,
) -> dict[int, tuple[list, list]]:
    """Train, perhaps on from a checkpoint in the folder, and tell by iteration what was drawn."""
    by_epoch = loop['by_epoch']
    sampler = dict(type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=True)
    batches = {} if 'batch_sampler' in (loader or {}) else dict(drop_last=False)
    checkpoint = folder / f'whole/{"epoch" if by_epoch else "iter"}_{resume}.pth'
    name = 'resumed' if resume else 'whole'
    runner = Runner(
        DrawingModel(),
        str(folder / name),
        train_dataloader=dict(
            dict(
                dataset=Draws(), sampler=sampler, batch_size=BATCH, num_workers=0,
                collate_fn=collate, **batches,
            ),
            **(loader or {}),
        ),
        train_cfg=dict(loop),
        **dict(dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1))), **options),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=by_epoch), logger=None
        ),
        custom_hooks=list(hooks),
        load_from=str(checkpoint) if resume else None,
        resume=bool(resume),
        randomness=dict(seed=seed),
        experiment_name=f'{folder.name}-{np.random.RandomState().randint(2**31)}',
    )  # fmt: skip
    runner.train()
    # end the workers now: when Python's collector finds them, torch waits 5 seconds for each
    runner.train_loop.dataloader._iterator = runner.train_loop.dataloader_iterator = None
    first = runner.iter - len(runner.model.steps)
    return {first + i: step for i, step in enumerate(runner.model.steps)}


def numbers(steps: dict[int, tuple[list, list]]) -> list[float]:
    return [number for _, drawn in steps.values() for number in drawn]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A function that gives a run without workers and a stop, and its folder."""
    made = {}

    def make(loop: dict) -> tuple[Path, dict]:
        if loop['by_epoch'] not in made:
            folder = tmp_path_factory.mktemp('run')
            made[loop['by_epoch']] = folder, train(folder, loop)
        return made[loop['by_epoch']]

    return make


@pytest.mark.slow
@LOOPS
def test_no_two_steps_samples_or_batches_draw_the_same(whole, loop):
    found = numbers(whole(loop)[1])
    assert len(found) == STEPS * (BATCH * 3 + 3 + 6)
    assert len({*found}) == len(found)


@pytest.mark.slow
@LOOPS
def test_each_epoch_has_all_samples_in_another_order(whole, loop):
    epochs = np.reshape([indices for indices, _ in whole(loop)[1].values()], (4, 4))
    assert np.array_equal(np.sort(epochs), [[0, 1, 2, 3]] * 4)
    assert len({tuple(epoch) for epoch in epochs}) > 1


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 1, 2])
@pytest.mark.parametrize('persistent', [False, True])
@LOOPS
def test_a_resumed_run_draws_the_same_with_any_workers(whole, loop, workers, persistent):
    folder, steps = whole(loop)
    first = 4 if loop['by_epoch'] else 3
    found = train(
        folder, loop, resume=2 if loop['by_epoch'] else 3,
        loader=dict(num_workers=workers, persistent_workers=persistent and workers > 0),
    )  # fmt: skip
    assert found == {i: steps[i] for i in range(first, STEPS)}


@pytest.mark.slow
@LOOPS
def test_a_run_without_a_seed_in_its_config_resumes(tmp_path, loop):
    steps = train(tmp_path, loop, seed=None)
    found = train(tmp_path, loop, seed=None, resume=2, loader=dict(num_workers=1))
    assert found == {i: steps[i] for i in found}
    assert not {*numbers(train(tmp_path, loop, seed=None))} & {*numbers(steps)}


@pytest.mark.slow
def test_a_finite_sampler_in_an_iteration_based_loop(tmp_path, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda seconds: None)  # MMEngine's, between two passes
    loader = dict(sampler=dict(type='DefaultSampler', shuffle=True))
    steps = train(tmp_path, ITERATIONS, loader=loader)
    assert len({*numbers(steps)}) == len(numbers(steps))
    found = train(tmp_path, ITERATIONS, resume=5, loader=dict(loader, num_workers=1))
    assert found == {i: steps[i] for i in (5, 6, 7)}


@pytest.mark.slow
@LOOPS
def test_a_sampler_of_batches(tmp_path, loop):
    loader = dict(batch_sampler=dict(type='mmdet.AspectRatioBatchSampler'))
    steps = train(tmp_path, loop, loader=loader)
    assert all({index % 2 for index in indices} in ({0}, {1}) for indices, _ in steps.values())
    found = train(tmp_path, loop, resume=2, loader=dict(loader, num_workers=2))
    assert found == {i: steps[i] for i in found}


@pytest.mark.slow
def test_the_order_without_a_stop_is_that_of_mmengine(tmp_path, whole):
    stock = train(tmp_path, ITERATIONS, hooks=())
    ours = whole(ITERATIONS)[1]
    assert [indices for indices, _ in stock.values()] == [i for i, _ in ours.values()]


@pytest.mark.slow
def test_draws_between_the_steps_do_not_matter(tmp_path, whole):
    assert (
        train(tmp_path, ITERATIONS, hooks=(SEED_HOOK, dict(type=DrawBetween)))
        == (whole(ITERATIONS)[1])
    )


@pytest.mark.slow
def test_without_the_hook_a_resumed_run_draws_other_numbers(tmp_path):
    steps = train(tmp_path, ITERATIONS, hooks=())
    found = train(tmp_path, ITERATIONS, hooks=(), resume=3)
    assert all(steps[i][0] == found[i][0] and steps[i][1] != found[i][1] for i in found)


@pytest.mark.slow
def test_another_seed_draws_other_numbers(tmp_path, whole):
    assert not {*numbers(train(tmp_path, ITERATIONS, seed=1))} & {*numbers(whole(ITERATIONS)[1])}


@pytest.mark.slow
def test_the_name_of_version_0_1_goes_on_working(tmp_path, whole):
    assert issubclass(EpochSeedHook, SeedHook)
    with pytest.warns(FutureWarning, match='EpochSeedHook is now SeedHook'):
        old = train(tmp_path, ITERATIONS, hooks=(dict(type='hsjp_mm.EpochSeedHook'),))
    assert old == whole(ITERATIONS)[1]


@pytest.mark.slow
@pytest.mark.parametrize('counts', [1, 2, 3])
def test_a_checkpoint_amid_an_accumulation_is_warned_of(tmp_path, log_file, counts):
    wrapper = dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=counts)
    train(tmp_path, ITERATIONS, optim_wrapper=wrapper)
    amid = [i for i in range(1, STEPS + 1) if i % counts]
    log = next((tmp_path / 'whole').rglob('*.log')).read_text()
    assert log.count('lacks the gradients accumulated') == len(amid)
    assert all(f'the checkpoint of iteration {i} lacks' in log for i in amid)
