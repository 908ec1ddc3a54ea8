import pytest
import torch

from hsjp_mm.evaluation import ViewRetrieval


def evaluate(vectors: torch.Tensor, batches: int = 1, **options) -> dict:
    """Evaluate (n, 2, D), given in some batches."""
    metric = ViewRetrieval(**options)
    for part in vectors.chunk(batches):
        metric.process({}, [{'pred_instances': {'view_embeddings': one[None]}} for one in part])
    return metric.compute_metrics(metric.results)


def unit(angles) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(angles, dtype=torch.float))
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def test_by_hand():
    """Of crops at 0 and 90 degrees the second view of one lies nearer to the other crop."""
    found = evaluate(unit([[0.0, 10.0], [90.0, 40.0]]))
    # 0 finds 10, 10 finds 0; 40 is nearer to 10 than to 90; 90 finds 40
    assert found['retrieval'] == 3 / 4
    assert found['retrieval_chance'] == pytest.approx(1 / 3)


def test_groups_do_not_depend_on_the_batches():
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(10, 2, 4), dim=2)
    whole = evaluate(vectors, among=4)
    assert whole == evaluate(vectors, batches=5, among=4)
    parts = [evaluate(part, among=4) for part in vectors.split(4)]
    expected = sum(p['retrieval'] * n for p, n in zip(parts, (4, 4, 2), strict=True)) / 10
    assert whole['retrieval'] == pytest.approx(expected)
    assert whole['retrieval_chance'] == pytest.approx((8 / 7 + 2 / 3) / 10)


def test_random_vectors_come_to_chance_and_equal_ones_have_no_spread():
    torch.manual_seed(0)
    random = torch.nn.functional.normalize(torch.randn(2048, 2, 32), dim=2)
    found = evaluate(random)
    assert found['retrieval'] == pytest.approx(found['retrieval_chance'], abs=0.01)
    assert found['feature_std'] == pytest.approx(1, abs=0.02)
    assert evaluate(torch.ones(4, 2, 3) / 3**0.5)['feature_std'] == pytest.approx(0, abs=1e-6)


def test_a_last_single_crop_is_left_out():
    vectors = unit([[0.0, 1.0], [90.0, 91.0], [180.0, 270.0]])
    assert evaluate(vectors, among=2)['retrieval'] == 1


def test_among_needs_two():
    with pytest.raises(ValueError, match='among=1'):
        ViewRetrieval(among=1)
