import math

import pytest
import torch
from mmengine.registry import MODELS

from hsjp_mm.models.heads.densepose_head import DensePoints
from hsjp_mm.ops.part_labels import IGNORED


def make_head(**options):
    torch.manual_seed(0)
    parts = dict(type='hsjp_mm.DensePoseHead', in_channels=88, deconv_out_channels=None)
    return MODELS.build(dict(parts, final_layer=None, **options))  # the feature is the maps


def batch() -> tuple[torch.Tensor, torch.Tensor, DensePoints]:
    torch.manual_seed(1)
    maps = torch.randn(2, 88, 4, 3, dtype=torch.float64)
    labels = torch.randint(3, (2, 16, 12))
    labels[:, :, 11] = IGNORED
    labels[:, 12] = IGNORED
    places = torch.tensor([[0.0, 0.0], [5.0, 6.0], [7.5, 11.0], [-1.0, 3.0], [2.0, 15.5]])
    points = DensePoints(
        places=places.double(),
        samples=torch.tensor([0, 0, 1, 1, 1]),
        charts=torch.tensor([3, 24, 1, 7, 9]),
        uv=torch.rand(5, 2, dtype=torch.float64),
    )
    return maps, labels, points


def at(channel: torch.Tensor, x: float, y: float) -> float:
    """Bilinear value of a map (h, w) at a point in cells, from its four neighbors."""
    value = 0.0
    for i in range(channel.shape[0]):
        for j in range(channel.shape[1]):
            weight = max(0.0, 1 - abs(x - j)) * max(0.0, 1 - abs(y - i))
            value += weight * float(channel[i, j])
    return value


def cross_entropy(scores: list[float], label: int) -> float:
    return -math.log(math.exp(scores[label]) / sum(math.exp(s) for s in scores))


def test_losses_are_those_of_a_slow_loop():
    maps, labels, points = batch()
    found = make_head(uv_weight=3.0).loss((maps.float(),), labels, points)
    at_points, uv_losses, right, away = [], [], [], []
    for p in range(3):  # the two others lie beside the 12×16 input
        image = maps[points.samples[p]]
        x, y = (float(value) / 4 for value in points.places[p])
        scores = [at(image[15 + k], x, y) for k in range(25)]
        chart = int(points.charts[p])
        at_points.append(cross_entropy(scores, chart))
        right.append(scores.index(max(scores)) == chart)
        uv = [at(image[40 + chart - 1], x, y), at(image[64 + chart - 1], x, y)]
        apart = [a - float(b) for a, b in zip(uv, points.uv[p], strict=True)]
        uv_losses += [d**2 / 2 if abs(d) < 1 else abs(d) - 0.5 for d in apart]
        away.append(math.hypot(*apart))
    background = [
        cross_entropy([float(s) for s in maps[b, 15:40, i, j]], 0)
        for b in range(2) for i in range(4) for j in range(3) if labels[b, 4 * i, 4 * j] == 0
    ]  # fmt: skip

    def mean(values):
        return sum(values) / len(values)

    expected = mean(at_points) + mean(background)
    assert found['loss_charts'].item() == pytest.approx(expected, rel=1e-5)
    assert found['loss_uv'].item() == pytest.approx(3 * mean(uv_losses), rel=1e-5)
    assert found['index'].item() == pytest.approx(mean(right))
    assert found['uv_error'].item() == pytest.approx(mean(away), rel=1e-5)


def test_losses_by_hand():
    """One point on a cell: chart 2 with half of the probability, U and V off by 0.5 and 2."""
    maps = torch.zeros(1, 88, 2, 2)
    maps[0, 15 + 2, 0, 1] = math.log(24)  # beside 24 ones
    maps[0, 40 + 1, 0, 1] = 0.75
    maps[0, 64 + 1, 0, 1] = -1.5
    labels = torch.full((1, 8, 8), IGNORED)
    labels[0, 4, 4] = 0  # one cell of the background, of 25 equal charts
    points = DensePoints(
        torch.tensor([[4.0, 0.0]]),
        torch.tensor([0]),
        torch.tensor([2]),
        torch.tensor([[0.25, 0.5]]),
    )
    found = make_head(uv_weight=1.0).loss((maps,), labels, points)
    assert found['loss_charts'].item() == pytest.approx(math.log(2) + math.log(25), rel=1e-6)
    assert found['loss_uv'].item() == pytest.approx((0.5**2 / 2 + (2 - 0.5)) / 2, rel=1e-6)
    assert found['index'] == 1
    assert found['uv_error'].item() == pytest.approx(math.hypot(0.5, 2), rel=1e-6)
    assert found['loss_parts'].item() == pytest.approx(math.log(15), rel=1e-6)


def test_u_and_v_train_only_the_annotated_chart():
    maps, labels, points = batch()
    maps.requires_grad_()
    make_head().loss((maps,), labels, points)['loss_uv'].backward()
    trained = {k for k in range(88) if maps.grad[:, k].abs().sum() > 0}
    assert trained == {40 + k - 1 for k in (3, 24, 1)} | {64 + k - 1 for k in (3, 24, 1)}


def test_without_points_the_losses_are_finite():
    maps, labels, _ = batch()
    none = DensePoints(
        torch.zeros(0, 2).double(), torch.zeros(0).long(), torch.zeros(0).long(),
        torch.zeros(0, 2).double(),
    )  # fmt: skip
    found = make_head().loss((maps,), labels, none)
    assert found['loss_uv'] == 0 and all(value.isfinite() for value in found.values())


def test_charts_are_told_only_where_a_part_is():
    maps, _, points = batch()
    parts, charts, at_points, uv = make_head().predict((maps,), points, 12)
    assert parts.shape == charts.shape == (2, 4, 3)
    assert ((parts == 0) == (charts == 0)).all() and charts.max() <= 24
    assert at_points.shape == (5,) and uv.shape == (5, 2)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match='uv_weight=-1 must be at least 0'):
        make_head(uv_weight=-1)
