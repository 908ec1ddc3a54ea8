import math

import pytest
import torch

from hsjp_mm.evaluation import DensePoseAccuracy


def person(charts, found, uv, found_uv, inside=None) -> dict:
    inside = [True] * len(charts) if inside is None else inside
    return {
        'gt_instance_labels': {
            'dense_charts': torch.tensor([charts]), 'dense_uv': torch.tensor([uv]),
        },
        'pred_instances': {
            'dense_charts': torch.tensor([found]), 'dense_uv': torch.tensor([found_uv]),
            'dense_inside': torch.tensor([inside]),
        },
    }  # fmt: skip


def test_measures_by_hand(log_file):
    metric = DensePoseAccuracy()
    one = person([2, 2, 7], [2, 0, 7], [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]],
                 [[0.3, 0.4], [1.0, 0.0], [0.5, 1.0]])  # fmt: skip
    two = person([24, 3], [24, 24], [[0.5, 0.0], [9.0, 9.0]], [[0.5, 0.0], [0.0, 0.0]],
                 [True, False])  # fmt: skip
    metric.process(None, [one, two])
    found = metric.evaluate(2)
    assert found['densepose/index'] == pytest.approx(3 / 4)
    assert found['densepose/index_chance'] == pytest.approx(2 / 4)
    assert found['densepose/uv_error'] == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    # the means of charts 2, 7 and 24 are (0.5, 0) each
    assert found['densepose/uv_error_chance'] == pytest.approx((0.5 + 0.5 + 0 + 0) / 4)
    assert math.isfinite(sum(found.values()))
    assert 'geodesic distance is not computed, for it needs SMPL' in log_file.read_text()


def test_a_network_that_knows_the_mean_of_each_chart_alone_is_at_chance():
    generator = torch.Generator().manual_seed(0)
    charts = torch.randint(1, 25, (500,), generator=generator)
    uv = torch.rand(500, 2, generator=generator) / charts[:, None]
    constant = torch.stack([uv[charts == chart].mean(dim=0) for chart in charts])
    metric = DensePoseAccuracy()
    given = (value.tolist() for value in (charts, charts, uv, constant))
    metric.process(None, [person(*given)])
    found = metric.evaluate(1)
    assert found['densepose/uv_error'] == pytest.approx(found['densepose/uv_error_chance'])


def test_without_a_point_there_is_no_measure():
    metric = DensePoseAccuracy()
    metric.process(None, [person([2], [2], [[0.0, 0.0]], [[0.0, 0.0]], [False])])
    with pytest.raises(ValueError, match='no annotated point lies in the crops of 1 persons'):
        metric.evaluate(1)
