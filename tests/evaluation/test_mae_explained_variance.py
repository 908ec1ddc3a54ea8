import pytest
import torch

from hsjp_mm.evaluation import MAEExplainedVariance, mae_explained_variance


def sample(mask: list[int], truth, found) -> dict:
    return {
        'gt_instances': {
            'mask': torch.tensor([mask], dtype=torch.bool),
            'patches': torch.as_tensor(truth).float()[None],
        },
        'pred_instances': {'patches': torch.as_tensor(found).float()[None]},
    }


def evaluate(samples: list[dict]) -> tuple[float, float]:
    metric = MAEExplainedVariance()
    for start in range(0, len(samples), 2):
        metric.process({}, samples[start : start + 2])
    measures = metric.evaluate(len(samples))
    assert list(measures) == ['mae/explained', 'mae/explained_chance']
    return tuple(measures.values())


def random_samples(number: int, common: float = 0.0) -> list[dict]:
    """Masks of two of five places, patches of four pixels with so much of a common pattern."""
    torch.manual_seed(0)
    pattern, made = torch.randn(5, 4), []
    for _ in range(number):
        mask = torch.zeros(5, dtype=torch.long)
        mask[torch.randperm(5)[:2]] = 1
        truth = common * pattern[mask.bool()] + torch.randn(2, 4)
        truth -= truth.mean(dim=1, keepdim=True)
        made.append(sample(mask.tolist(), truth, truth + torch.randn(2, 4)))
    return made


def test_by_hand():
    """Two instances with one place masked in both.

    Targets (1, −1) and (3, −3): squares 2 + 18 = 20. Painted (1, 0) and (2, −2): errors 1 + 2 = 3.
    The mean of the others is the other: errors 8 + 8 = 16.
    """
    samples = [sample([0, 1], [[1, -1]], [[1, 0]]), sample([0, 1], [[3, -3]], [[2, -2]])]
    assert evaluate(samples) == (pytest.approx(1 - 3 / 20), pytest.approx(1 - 16 / 20))


def test_perfect_paintings_and_the_mean_colors():
    samples = random_samples(6)
    for one in samples:
        one['pred_instances']['patches'] = one['gt_instances']['patches'].clone()
    assert evaluate(samples)[0] == 1
    for one in samples:
        one['pred_instances']['patches'] = torch.zeros(1, 2, 4)
    assert evaluate(samples)[0] == 0


def test_against_a_loop_over_the_instances():
    samples = random_samples(9, common=2.0)
    samples.append(sample([1, 1, 1, 1, 1, 1], torch.randn(6, 4), torch.zeros(6, 4)))
    for one in samples[:-1]:  # a sixth place, which only the last one has masked
        mask = one['gt_instances']['mask']
        one['gt_instances']['mask'] = torch.cat([mask, torch.zeros(1, 1).bool()], dim=1)
    by_place = {}
    for i, one in enumerate(samples):
        places = one['gt_instances']['mask'][0].nonzero()[:, 0].tolist()
        for place, patch in zip(places, one['gt_instances']['patches'][0], strict=True):
            by_place.setdefault(place, {})[i] = patch.double()
    error = blind = variance = 0.0
    for one in samples:
        difference = one['gt_instances']['patches'] - one['pred_instances']['patches']
        error += float((difference.double() ** 2).sum())
    for patches in by_place.values():
        for i, patch in patches.items():
            others = [other for k, other in patches.items() if k != i]
            guess = torch.stack(others).mean(dim=0) if others else torch.zeros(4)
            blind += float(((patch - guess) ** 2).sum())
            variance += float((patch**2).sum())
    assert blind < 0.8 * variance  # the common pattern can be had without looking
    assert evaluate(samples) == (
        pytest.approx(1 - error / variance),
        pytest.approx(1 - blind / variance),
    )


def test_where_nothing_is_in_common_chance_is_the_mean_color():
    assert evaluate(random_samples(12))[1] == 0


def test_a_second_evaluation_starts_anew():
    metric, samples = MAEExplainedVariance(), random_samples(8, common=2.0)
    metric.process({}, samples[:4])
    metric.evaluate(4)
    metric.process({}, samples[4:])
    fresh = MAEExplainedVariance()
    fresh.process({}, samples[4:])
    assert metric.evaluate(4) == fresh.evaluate(4)


def test_sums_of_all_processes_are_put_together(monkeypatch):
    """Also those of a process without any instance."""
    samples = random_samples(8, common=2.0)
    whole, own, other = (MAEExplainedVariance() for _ in range(3))
    whole.process({}, samples)
    own.process({}, samples[:5])
    other.process({}, samples[5:])
    gathered = [None, own._sums, other._sums]
    monkeypatch.setattr(mae_explained_variance, 'all_gather_object', lambda sums: gathered)
    own.results += other.results
    found = own.evaluate(8)
    monkeypatch.undo()
    assert found == pytest.approx(whole.evaluate(8))


def test_samples_that_fill_the_last_batches_count_once():
    """A sampler of two processes repeats the first of three; MMEngine cuts the results."""
    samples = random_samples(3)
    metric = MAEExplainedVariance()
    metric.process({}, [*samples, samples[0]])
    assert metric.evaluate(3)['mae/explained'] == pytest.approx(evaluate(samples)[0])
