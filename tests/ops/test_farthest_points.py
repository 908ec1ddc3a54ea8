import pytest
import torch

from hsjp_mm.models import BodyModel
from hsjp_mm.ops.farthest_points import farthest_points


def test_by_hand():
    line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 0, 0], [10, 0, 0]])
    # the mean is 4.4: first 10, then 0, then the middle one that is farthest from both
    assert farthest_points(line, 3).tolist() == [4, 0, 2]


def test_against_a_slow_loop():
    points = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    chosen = farthest_points(points, 60).tolist()
    assert sorted(chosen) == list(range(60))
    for count in range(1, 60):
        reach = [min(float((p - points[c]).norm()) for c in chosen[:count]) for p in points]
        assert reach[chosen[count]] == pytest.approx(max(reach), abs=1e-6)


def test_431_points_lie_all_over_the_body():
    body = BodyModel()
    template = body.flat_template.unflatten(0, (3, -1)).T
    chosen = farthest_points(template, 431)
    parts = body.parts[chosen].bincount(minlength=24)
    assert len(set(chosen.tolist())) == 431
    assert (parts > 0).all()
    reach = torch.cdist(template, template[chosen]).amin(dim=1)
    assert reach.max() < 0.06  # no vertex is farther than 6 cm from the next chosen one


@pytest.mark.parametrize('number', [0, 6])
def test_how_many_there_can_be(number):
    with pytest.raises(ValueError, match=f'number={number} must be from 1 to the 5 points'):
        farthest_points(torch.rand(5, 3), number)
