import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hsjp_mm.engine import SpatialWarmupHook

SIZE = 96


def strengths(model, iterations, **options) -> list[float]:
    """What a hook sets before each of some iterations."""
    hook, found = SpatialWarmupHook(**options), []
    runner = SimpleNamespace(model=model)
    hook.before_run(runner)
    for runner.iter in iterations:
        hook.before_train_iter(runner, 0)
        found.append(getattr(model, 'module', model).spatial_strength)
    return found


def largest_changes(model) -> tuple[float, float, float]:
    """How much the puzzles of many crops are scaled, turned and moved at most."""
    torch.manual_seed(0)
    puzzle = model.make_puzzle(torch.rand(400, 3, SIZE, SIZE))
    linear = puzzle.matrices[:, :, :2].double()
    scales = torch.linalg.det(linear).sqrt() * puzzle.shuffled.shape[-1] / SIZE
    angles = torch.atan2(linear[:, 1, 0], linear[:, 0, 0]).abs()
    middle = torch.full((400, 1, 2), puzzle.shuffled.shape[-1] / 2, dtype=torch.float64)
    moved = middle @ linear.transpose(1, 2) + puzzle.matrices[:, None, :, 2]
    shifts = (moved - SIZE / 2).abs() / SIZE
    return (scales - 1).abs().max().item(), math.degrees(angles.max()), shifts.max().item()


@pytest.mark.parametrize('wrap', [lambda model: model, nn.DataParallel])
def test_the_share_grows_to_all_with_the_iterations(make_model, wrap):
    model = wrap(make_model(grid=3, input_size=(SIZE, SIZE)))
    assert strengths(model, [0, 1, 2, 3, 4, 100], iters=4) == [0, 0.25, 0.5, 0.75, 1, 1]
    assert strengths(model, [2], iters=4) == [0.5]  # as a resumed run begins


def test_puzzles_are_scaled_turned_and_moved_by_that_share(make_model):
    model = make_model(grid=3, input_size=(SIZE, SIZE))
    most = model.scale_factor, model.rotate_factor, model.shift_factor
    for share in (0, 0.5, 1):
        [model.spatial_strength] = strengths(model, [share * 8], iters=8)
        for found, factor in zip(largest_changes(model), most, strict=True):
            assert found <= share * factor + 1e-4
            assert found >= 0.9 * share * factor


def test_what_it_is_not_for(make_model):
    with pytest.raises(ValueError, match='iters=0 must be at least 1'):
        SpatialWarmupHook(iters=0)
    with pytest.raises(ValueError, match=r'for hsjp_mm\.HSJP, and the model is a Linear'):
        strengths(nn.Linear(1, 1), [0], iters=1)
