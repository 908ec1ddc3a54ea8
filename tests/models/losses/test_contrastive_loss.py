import math

import pytest
import torch
import torch.nn.functional as F

from hsjp_mm.models.losses import ClusteringLoss, SupervisedContrastiveLoss


def slow_loss(vectors: list[list[float]], images: list[int], temperature: float) -> float:
    """Equations (1) and (2) of the JigClu paper, patch by patch; any vectors, by their cosine."""

    def cosine(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    number, total = len(vectors), 0.0
    for i in range(number):
        pairs = []
        for j in range(number):
            if j == i or images[j] != images[i]:
                continue
            others = 0.0
            for k in range(number):
                if k != i:
                    others += math.exp(cosine(vectors[i], vectors[k]) / temperature)
            pairs.append(-math.log(math.exp(cosine(vectors[i], vectors[j]) / temperature) / others))
        total += sum(pairs) / len(pairs)
    return total / number


def draw(images: int, patches: int, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors that are not of length 1, and images in random order."""
    vectors = torch.randn(images * patches, channels, dtype=torch.float64)
    order = torch.randperm(images * patches)
    return vectors, (torch.arange(images * patches) // patches)[order]


@pytest.mark.parametrize('temperature', [0.07, 0.3, 1.0, 5.0])
@pytest.mark.parametrize(('images', 'patches'), [(2, 4), (5, 4), (3, 9), (2, 16), (1, 4), (7, 2)])
def test_equals_the_papers_equations(images, patches, temperature):
    torch.manual_seed(images * patches)
    vectors, labels = draw(images, patches, 6)
    unit = F.normalize(vectors, dim=1)
    rows = SupervisedContrastiveLoss(temperature)(unit, unit, labels)
    expected = slow_loss(vectors.tolist(), labels.tolist(), temperature)
    assert rows.mean().item() == pytest.approx(expected, rel=0, abs=1e-12)


def test_parts_of_several_processes_make_up_the_whole():
    torch.manual_seed(0)
    vectors, labels = draw(5, 4, 6)
    unit = F.normalize(vectors, dim=1)
    loss = SupervisedContrastiveLoss(0.3)
    parts = [loss(unit[i:j], unit, labels, i) for i, j in ((0, 4), (4, 16), (16, 20))]
    torch.testing.assert_close(torch.cat(parts), loss(unit, unit, labels), rtol=0, atol=1e-14)
    expected = slow_loss(vectors.tolist(), labels.tolist(), 0.3)
    assert torch.cat(parts).mean().item() == pytest.approx(expected, rel=0, abs=1e-12)


def test_hand_worked_value():
    # two images of two patches: A on the x axis, both; B on the y axis and opposite to A
    unit = torch.tensor([[1.0, 0], [1, 0], [0, 1], [-1, 0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1])
    rows = SupervisedContrastiveLoss(0.5)(unit, unit, labels)
    e = math.exp
    expected = [
        -math.log(e(2) / (e(2) + e(0) + e(-2))),  # to A, the two of B at 0 and −1
        -math.log(e(2) / (e(2) + e(0) + e(-2))),
        -math.log(e(0) / (e(0) + e(0) + e(0))),  # log 3
        -math.log(e(0) / (e(-2) + e(-2) + e(0))),
    ]
    assert rows.tolist() == pytest.approx(expected, abs=1e-14)
    # and if all are the same, each is one of P − 1
    same = torch.ones(8, 1, dtype=torch.float64)
    rows = SupervisedContrastiveLoss(0.3)(same, same, torch.arange(8) // 4)
    assert rows.tolist() == pytest.approx([math.log(7)] * 8, abs=1e-14)


def test_gradient_is_that_of_finite_differences():
    torch.manual_seed(1)
    vectors, labels = draw(3, 4, 5)
    loss = SupervisedContrastiveLoss(0.3)

    def mean(own, everyone):
        return loss(F.normalize(own, dim=1), F.normalize(everyone, dim=1), labels, 2).mean()

    own = vectors[2:7].clone().requires_grad_()
    assert torch.autograd.gradcheck(mean, (own, vectors.clone().requires_grad_()))


def test_a_low_temperature_does_not_overflow():
    unit = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0]], requires_grad=True)
    rows = SupervisedContrastiveLoss(1e-3)(unit, unit, torch.tensor([0, 1, 0, 1]))
    # the nearest, of the other image, is nearer by 2/τ than the one of the same image
    torch.testing.assert_close(rows, torch.full((4,), 2000.0))
    rows.sum().backward()
    assert unit.grad.isfinite().all()


@pytest.mark.parametrize('temperature', [0, 0.0, -0.3, math.nan])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match=f'temperature={temperature} must be positive'):
        SupervisedContrastiveLoss(temperature)


def test_the_name_of_version_0_1_goes_on_working():
    with pytest.warns(FutureWarning, match='ClusteringLoss is now SupervisedContrastiveLoss'):
        loss = ClusteringLoss(0.3)
    assert isinstance(loss, SupervisedContrastiveLoss)
