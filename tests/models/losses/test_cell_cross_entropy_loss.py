import math

import pytest
import torch

from hsjp_mm.models.losses import CellCrossEntropyLoss
from hsjp_mm.ops.patches import gaussian_maps


def slow_loss(output, target, weights) -> float:
    """Map by map and cell by cell."""
    total = 0.0
    for i, weight in enumerate(weights.flatten().tolist()):
        logits, heights = output.flatten(0, 1)[i].flatten(), target.flatten(0, 1)[i].flatten()
        all_exp = sum(math.exp(z) for z in logits.tolist())
        all_heights = sum(heights.tolist())
        for z, t in zip(logits.tolist(), heights.tolist(), strict=True):
            total -= weight * t / all_heights * math.log(math.exp(z) / all_exp)
    return total / weights.numel()


def draw():
    torch.manual_seed(0)
    points = torch.rand(3, 4, 2, dtype=torch.float64) * torch.tensor([7.0, 5.0])
    output = torch.randn(3, 4, 5, 7, dtype=torch.float64)
    return output, gaussian_maps(points, (5, 7), sigma=0.8), torch.rand(3, 4, dtype=torch.float64)


def test_it_is_the_sum_over_cells():
    output, target, weights = draw()
    found = CellCrossEntropyLoss()(output, target, weights)
    assert found.item() == pytest.approx(slow_loss(output, target, weights), rel=1e-12)
    twice = CellCrossEntropyLoss(loss_weight=2.0)(output, target, weights)
    assert twice.item() == pytest.approx(2 * found.item(), rel=1e-12)


def test_an_empty_map_is_as_bad_as_guessing_and_the_right_cell_costs_nothing():
    target = torch.zeros(1, 1, 4, 6)
    target[0, 0, 2, 3] = 1
    weight = torch.ones(1, 1)
    empty = CellCrossEntropyLoss()(torch.full_like(target, -3.0), target, weight)
    assert empty.item() == pytest.approx(math.log(24), rel=1e-6)
    assert CellCrossEntropyLoss()(100 * target, target, weight).item() == 0


def test_scale_of_targets_and_shift_of_logits_do_not_matter():
    output, target, weights = draw()
    loss = CellCrossEntropyLoss()
    found = loss(output, target, weights).item()
    assert loss(output, 5 * target, weights).item() == pytest.approx(found, rel=1e-12)
    assert loss(output + 9, target, weights).item() == pytest.approx(found, rel=1e-12)


def test_maps_without_weight_have_no_gradient_and_count_in_the_mean():
    output, target, weights = draw()
    weights = torch.ones_like(weights)
    weights[1, 2] = 0
    target[1, 2] = 0  # as of a patch that is far outside
    output.requires_grad_()
    loss = CellCrossEntropyLoss()(output, target, weights)
    loss.backward()
    assert not output.grad[1, 2].any() and output.grad.isfinite().all()
    kept = weights.bool()
    alone = CellCrossEntropyLoss()(output[kept][None], target[kept][None], weights[kept][None])
    assert loss.item() == pytest.approx(alone.item() * 11 / 12, rel=1e-12)
