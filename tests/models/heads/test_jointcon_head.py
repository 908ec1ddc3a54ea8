import math

import pytest
import torch
import torch.nn.functional as F

from hsjp_mm.models import JointConHead
from hsjp_mm.models.heads.jointcon_head import classes_of, floor_of, positives_of
from hsjp_mm.models.losses import SupervisedContrastiveLoss

DEFINITIONS = ('image', 'joint', 'image_and_joint')


def is_positive(positives: str, one: list[int], other: list[int]) -> bool:
    """Section 4.3 of the paper; a label is image, view, joint."""
    return {
        'image': one[0] == other[0],
        'joint': one[2] == other[2],
        'image_and_joint': one[0] == other[0] and one[2] == other[2],
    }[positives]


def slow_loss(
    vectors: list[list[float]], labels: list[list[int]], positives: str, temperature: float
) -> float:
    """L_out of Khosla et al., equation (2), averaged over the joints that have a positive."""

    def similarity(i: int, j: int) -> float:
        dot = sum(a * b for a, b in zip(vectors[i], vectors[j], strict=True))
        lengths = math.hypot(*vectors[i]) * math.hypot(*vectors[j])
        return dot / lengths / temperature

    number, terms = len(vectors), []
    for i in range(number):
        others = [j for j in range(number) if j != i]
        mates = [j for j in others if is_positive(positives, labels[i], labels[j])]
        if mates:
            whole = sum(math.exp(similarity(i, j)) for j in others)
            logs = [math.log(math.exp(similarity(i, j)) / whole) for j in mates]
            terms.append(-sum(logs) / len(mates))
    return sum(terms) / len(terms)


def build(positives: str, **options) -> JointConHead:
    torch.manual_seed(0)
    head = JointConHead(6, positives, hidden_channels=16, out_channels=5, **options)
    return head.double()


def batch(images: int = 4, joints: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of those joints of two views that are labelled, and what they are."""
    torch.manual_seed(1)
    labels = (torch.rand(images, 2, joints) < 0.6).nonzero()
    return torch.randn(len(labels), 6, dtype=torch.float64), labels


@pytest.mark.parametrize('temperature', [0.1, 0.5])
@pytest.mark.parametrize('positives', DEFINITIONS)
def test_loss_is_khoslas_with_joints_missing(positives, temperature):
    head, (vectors, labels) = build(positives, temperature=temperature), batch()
    losses = head.loss(vectors, labels)
    embeddings = head.project(vectors).tolist()
    expected = slow_loss(embeddings, labels.tolist(), positives, temperature)
    assert losses['loss_contrastive'].item() == pytest.approx(expected, rel=0, abs=1e-10)
    assert [name for name in losses if 'loss' in name] == ['loss_contrastive']


def test_some_joints_have_no_positive_in_the_batch_of_these_tests():
    _, labels = batch()
    assert (positives_of(classes_of(labels, 'image_and_joint')) == 0).any()


def test_hand_worked_value(monkeypatch):
    # image 0 shows its joints 0 and 1 in view 0 and joint 0 in view 1, image 1 joint 1 in view 0;
    # they lie on the axes of a plane: east, north, east, west
    labels = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 1]])
    unit = torch.tensor([[1.0, 0], [0, 1], [1, 0], [-1, 0]], dtype=torch.float64)
    e = math.exp
    # with τ = 0.5 cosines of 1, 0 and −1 are exponents of 2, 0 and −2
    first = -math.log(e(2) / (e(0) + e(2) + e(-2)))  # from 0 to 2, and back
    expected = {
        # image 1 has one joint, so no positive; 1 is as far from 0 as from 2 and from 3
        'image': (
            2 * (first / 2 - math.log(e(0) / (e(0) + e(2) + e(-2))) / 2) + math.log(3)
        ) / 3,
        # 1 and 3 are positives of one another; 3 is opposite to 0 and 2
        'joint': (2 * first + math.log(3) - math.log(e(0) / (e(-2) + e(0) + e(-2)))) / 4,
        'image_and_joint': first,
    }  # fmt: skip
    for positives, value in expected.items():
        head = build(positives, temperature=0.5)
        monkeypatch.setattr(head, 'embed', lambda vectors: vectors)
        assert head.loss(unit, labels)['loss_contrastive'].item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize('positives', DEFINITIONS)
def test_floor_is_the_mean_logarithm_of_the_number_of_positives(positives):
    _, labels = batch()
    rows = labels.tolist()
    numbers = [sum(is_positive(positives, a, b) for b in rows) - 1 for a in rows]
    logs = [math.log(number) for number in numbers if number]
    expected = sum(logs) / len(logs)
    assert floor_of(classes_of(labels, positives)).item() == pytest.approx(expected, abs=1e-6)


def test_the_loss_comes_down_to_the_floor_where_joints_are_the_corners_of_a_simplex():
    """17 joints in two views of 64 images at τ = 0.1, as the docstring says."""
    joints = torch.arange(17).repeat(128)
    corners = F.normalize(torch.eye(17, dtype=torch.float64) - 1 / 17, dim=1)
    loss = SupervisedContrastiveLoss(0.1)(corners[joints], corners[joints], joints).mean()
    floor = floor_of(joints)
    assert floor.item() == pytest.approx(math.log(127), abs=1e-6)
    assert 3e-4 < loss - floor < 4e-4
    # exactly: 127 positives at a cosine of 1, 2048 others at −1/16
    assert loss.item() == pytest.approx(math.log(127 + 2048 * math.exp(-17 / 16 / 0.1)), abs=1e-9)


def test_no_loss_is_below_the_floor():
    for seed in range(20):
        torch.manual_seed(seed)
        labels = (torch.rand(3, 2, 4) < 0.7).nonzero()
        unit = F.normalize(torch.randn(len(labels), 3, dtype=torch.float64), dim=1)
        for positives in DEFINITIONS:
            classes = classes_of(labels, positives)
            rows = SupervisedContrastiveLoss(0.05)(unit, unit, classes)
            loss = rows.sum() / (positives_of(classes) > 0).sum()
            assert loss >= floor_of(classes)


def test_the_projector_is_linear_norm_relu_linear():
    head, (vectors, _) = build('joint'), batch()
    shapes = {name: tuple(v.shape) for name, v in head.named_parameters()}
    sizes = sorted(shapes.values())
    assert (16, 6) in sizes and (5, 16) in sizes and sizes.count((16,)) >= 2
    linear = [m for m in head.modules() if isinstance(m, torch.nn.Linear)]
    hidden = linear[0](vectors)
    [norm] = [m for m in head.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    mean, variance = hidden.mean(dim=0), hidden.var(dim=0, correction=0)
    hidden = ((hidden - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias).clamp(min=0)
    torch.testing.assert_close(head.project(vectors), linear[1](hidden))


def test_measures_stand_beside_their_chance_levels():
    losses = build('joint').loss(*batch())
    for name in ('joint_retrieval', 'image_retrieval', 'pair_retrieval'):
        assert 0 <= losses[name] <= 1 and 0 < losses[f'{name}_chance'] < 1
    assert losses['feature_std'] > 0
    assert all(
        value.requires_grad == (name == 'loss_contrastive') for name, value in losses.items()
    )


def test_a_batch_without_pairs_has_no_loss_but_gradients():
    head = build('image_and_joint')
    labels = torch.tensor([[0, 0, 1], [1, 0, 2], [2, 1, 1]])
    losses = head.loss(torch.randn(3, 6, dtype=torch.float64), labels)
    assert losses['loss_contrastive'] == losses['floor'] == 0
    losses['loss_contrastive'].backward()
    assert all(weight.grad is not None for weight in head.parameters())


@pytest.mark.parametrize('number', [0, 1])
def test_fewer_than_two_joints_are_refused(number):
    with pytest.raises(ValueError, match=rf'\[{number}\] labelled joints by process'):
        build('joint').loss(torch.randn(number, 6).double(), torch.zeros(number, 3).long())


def test_vectors_that_are_not_finite_stop_the_run():
    vectors, labels = batch()
    vectors[2, 1] = math.nan
    with pytest.raises(ValueError, match='NaN or infinity'):
        build('joint').loss(vectors, labels)


def test_unknown_positives_are_refused():
    with pytest.raises(
        ValueError, match="positives='joints' must be one of image, joint, image_and"
    ):
        JointConHead(6, 'joints')
