"""The heads of the methods that compare views, against loops from the papers' formulas."""

import math

import pytest
import torch
import torch.nn.functional as F

from hsjp_mm.models import BYOLHead, MoCoHead, PeCLRHead, SimCLRHead, SimSiamHead, SwAVHead
from hsjp_mm.models.heads.peclr_head import undo
from hsjp_mm.models.heads.swav_head import sinkhorn


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(shape, dtype=torch.float64, generator=generator), dim=-1)


def cosine(one, other) -> float:
    one, other = one.tolist(), other.tolist()
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


# --------------------------------------------------------------------------------------- SimCLR


def slow_nt_xent(first, second, temperature: float) -> float:
    """Equation (1) of SimCLR: 2k and 2k + 1 are views of one image."""
    rows = [row for pair in zip(first, second, strict=True) for row in pair]
    total = 0.0
    for i, row in enumerate(rows):
        partner = i + 1 if i % 2 == 0 else i - 1
        others = [
            math.exp(cosine(row, other) / temperature) for k, other in enumerate(rows) if k != i
        ]
        total -= math.log(math.exp(cosine(row, rows[partner]) / temperature) / sum(others))
    return total / len(rows)


@pytest.mark.parametrize('temperature', [0.1, 0.5])
def test_simclr_against_its_formula(temperature):
    head = SimCLRHead(4, hidden_channels=4, out_channels=4, temperature=temperature)
    first, second = unit(5, 6), unit(5, 6, seed=1)
    found = float(head.loss([first, second]))
    assert found == pytest.approx(slow_nt_xent(first, second, temperature), rel=1e-12)


def test_simclr_by_hand():
    """Two images at right angles, both views equal: −log(e/(e + 2)) at temperature 1."""
    views = torch.eye(2, dtype=torch.float64)
    head = SimCLRHead(4, hidden_channels=4, out_channels=2, temperature=1.0)
    assert float(head.loss([views, views])) == pytest.approx(math.log((math.e + 2) / math.e))


def test_mocos_projector_has_no_norm():
    """Section 3 of MoCo v2: "a 2-layer MLP head (hidden layer 2048-d, with ReLU)"."""
    head = MoCoHead(4)
    layers = [type(layer).__name__ for layer in head.projector.modules() if not [*layer.children()]]
    assert layers == ['Linear', 'ReLU', 'Linear']
    assert sum(p.numel() for p in head.parameters()) == 4 * 2048 + 2048 + 2048 * 128 + 128


# ------------------------------------------------------------------------------ SimSiam and BYOL


def test_simsiam_against_its_formula_and_stops_the_gradient():
    torch.manual_seed(0)
    head = SimSiamHead(4, channels=6, predictor_channels=3).double()
    one = unit(5, 6).requires_grad_()
    two = (unit(5, 6, seed=1) * 3).requires_grad_()
    loss = head.loss([one, two])
    predicted = [head.predictor((rows,))[0] for rows in (one, two)]
    expected = 0.0
    for i in range(5):
        expected -= cosine(predicted[0][i], two[i]) / 10 + cosine(predicted[1][i], one[i]) / 10
    assert float(loss.detach()) == pytest.approx(expected)
    # what arrives at a view comes through its own prediction alone
    (gradient,) = torch.autograd.grad(loss, one)
    alone = -F.cosine_similarity(head.predictor((one,))[0], two.detach(), dim=1).mean() / 2
    assert torch.allclose(gradient, torch.autograd.grad(alone, one)[0])


def test_simsiams_last_norm_has_no_weights():
    head = SimSiamHead(4, channels=6, predictor_channels=3)
    assert head.projector.bn2.weight is None
    assert head.projector.fc2.bias is None
    assert head.predictor.fc1.bias is not None
    with torch.no_grad():
        rows = head.project(torch.randn(64, 4))
    assert torch.allclose(rows.mean(dim=0), torch.zeros(6), atol=1e-5)
    assert torch.allclose(rows.std(dim=0, correction=0), torch.ones(6), atol=1e-2)


def test_byol_against_its_formula():
    torch.manual_seed(0)
    head = BYOLHead(4, hidden_channels=5, out_channels=6).double()
    projections, targets = (
        [unit(5, 6), unit(5, 6, seed=1)],
        [unit(5, 6, seed=2), unit(5, 6, seed=3)],
    )
    predicted = [head.predictor((rows,))[0] for rows in projections]
    expected = 0.0
    for view in range(2):
        for i in range(5):
            # equation (2): the squared distance of the vectors of length 1
            length = predicted[view][i] / predicted[view][i].norm()
            expected += float((length - targets[1 - view][i]).square().sum()) / 5
    assert float(head.loss(projections, targets)) == pytest.approx(expected)


# ----------------------------------------------------------------------------------------- MoCo


def moco(length: int, temperature: float = 0.2) -> MoCoHead:
    return MoCoHead(
        4, hidden_channels=4, out_channels=6, queue_length=length, temperature=temperature
    ).double()


def test_moco_against_its_formula_and_its_queue():
    head = moco(7)
    before = head.queue.clone()
    queries, keys = unit(3, 6), unit(3, 6, seed=1)
    expected = 0.0
    for query, key in zip(queries, keys, strict=True):
        own = math.exp(cosine(query, key) / 0.2)
        others = sum(math.exp(cosine(query, old) / 0.2) for old in before)
        expected -= math.log(own / (own + others)) / 3
    assert float(head.loss(queries, keys)) == pytest.approx(expected)
    assert torch.equal(head.queue, torch.cat([keys, before[3:]]))
    assert int(head.place) == 3


def test_moco_takes_batches_that_do_not_divide_its_queue():
    """The queue holds the last keys, oldest overwritten first, whatever sizes came."""
    head = moco(7)
    rows = unit(23, 6, seed=4)
    for part in rows.split([3, 5, 7, 1, 3, 4]):
        head.loss(part, part)
    assert {tuple(key) for key in head.queue.tolist()} == {tuple(row) for row in rows[-7:].tolist()}
    with pytest.raises(ValueError, match='queue_length=7 must be at least the 8'):
        head.loss(rows[:8], rows[:8])


def test_mocos_queue_does_not_spoil_the_gradient():
    head = moco(4)
    queries = unit(3, 6).requires_grad_()
    loss = head.loss(queries, unit(3, 6, seed=1))
    loss.backward()  # torch refuses it if what the backward pass needs was written over
    assert queries.grad.abs().sum() > 0


# ----------------------------------------------------------------------------------------- SwAV


def slow_sinkhorn(scores, epsilon: float, iterations: int) -> list[list[float]]:
    """The Sinkhorn-Knopp algorithm of appendix A.1, entry by entry."""
    rows = [[math.exp(value / epsilon) for value in row] for row in scores.tolist()]
    number, prototypes = len(rows), len(rows[0])
    total = sum(map(sum, rows))
    rows = [[value / total for value in row] for row in rows]
    for _ in range(iterations):
        sums = [sum(row[k] for row in rows) for k in range(prototypes)]
        rows = [[row[k] / sums[k] / prototypes for k in range(prototypes)] for row in rows]
        rows = [[value / sum(row) / number for value in row] for row in rows]
    return [[value * number for value in row] for row in rows]


def test_sinkhorn_against_its_entries():
    scores = unit(6, 4) @ unit(5, 4, seed=1).T
    found = sinkhorn(scores, 0.05, 3)
    assert torch.allclose(found, torch.tensor(slow_sinkhorn(scores, 0.05, 3)).double())
    assert torch.allclose(found.sum(dim=1), torch.ones(6).double())
    many = sinkhorn(scores, 0.5, 200)
    assert torch.allclose(many.sum(dim=0), torch.full((5,), 6 / 5).double(), atol=1e-6)


def test_sinkhorn_bears_scores_that_would_overflow():
    found = sinkhorn(torch.tensor([[100.0, 0.0], [0.0, 100.0]]), 0.05, 3)
    assert torch.allclose(found, torch.eye(2))


def swav(**options) -> SwAVHead:
    torch.manual_seed(0)
    options = {'hidden_channels': 4, 'out_channels': 6, 'prototypes': 5, **options}
    return SwAVHead(4, **options).double()


def test_swav_against_its_formula():
    """Equation (2) for two assigned views and a further one, each predicted from the others."""
    head = swav(frozen_steps=0)
    views = [unit(4, 6, seed=seed) for seed in range(3)]
    prototypes = F.normalize(head.prototypes.weight.detach(), dim=1)
    scores = [view @ prototypes.T for view in views]
    codes = [slow_sinkhorn(score, 0.05, 3) for score in scores[:2]]
    expected = 0.0
    for c, code in enumerate(codes):
        for v, score in enumerate(scores):
            if v == c:
                continue
            for image in range(4):
                exponentials = [math.exp(float(s) / 0.1) for s in score[image]]
                for k in range(5):
                    share = exponentials[k] / sum(exponentials)
                    expected -= code[image][k] * math.log(share) / 4 / 4
    found = head.loss(views)
    assert float(found['loss_swapped']) == pytest.approx(expected)
    entropy = [-sum(q * math.log(q) for q in row) for code in codes for row in code]
    assert float(found['floor']) == pytest.approx(sum(entropy) / 8)
    assert torch.equal(head.prototypes.weight, prototypes)


def test_swavs_queue_is_balanced_along_from_its_step_on():
    head = swav(queue_length=6, queue_start=1)
    views = [unit(4, 6, seed=seed) for seed in range(4)]
    head.loss(views[:2])
    assert torch.equal(head.queue[0, :4], views[0])
    assert int(head.filled) == 4
    found = head.loss(views[2:])
    prototypes = head.prototypes.weight.detach()
    with_queue = [
        slow_sinkhorn(torch.cat([new, old]) @ prototypes.T, 0.05, 3)[:4]
        for new, old in zip(views[2:], views[:2], strict=True)
    ]
    entropy = [-sum(q * math.log(q) for q in row) for code in with_queue for row in code]
    assert float(found['floor']) == pytest.approx(sum(entropy) / 8)
    assert torch.equal(head.queue[1], torch.cat([views[3], views[1][:2]]))
    assert int(head.filled) == 6


def test_swavs_prototypes_are_frozen_in_the_first_steps():
    head = swav(frozen_steps=2)
    moved = []
    for seed in range(4):
        head.zero_grad()
        views = [unit(4, 6, seed=2 * seed), unit(4, 6, seed=2 * seed + 1)]
        head.loss(views)['loss_swapped'].backward()
        moved.append(bool(head.prototypes.weight.grad.abs().sum() > 0))
    assert moved == [False, False, True, True]


def test_prototypes_in_use():
    head = swav()
    same = unit(1, 6).expand(4, 6)
    spread = F.normalize(head.prototypes.weight.detach()[:4], dim=1)
    assert float(head.loss([same, same])['prototypes_used']) == pytest.approx(1 / 5)
    assert float(head.loss([spread, spread])['prototypes_used']) >= 4 / 5


# ---------------------------------------------------------------------------------------- PeCLR


def test_peclr_undoes_what_a_view_did_to_points():
    """Points that turn and move as the content of the view come back to where they were."""
    torch.manual_seed(0)
    points = torch.rand(3, 64, 2, dtype=torch.float64)
    angles = torch.tensor([0.3, -0.7, 0.0], dtype=torch.float64)
    turn = torch.stack(
        [
            torch.stack([angles.cos(), -angles.sin()], dim=1),
            torch.stack([angles.sin(), angles.cos()], dim=1),
        ],
        dim=1,
    )
    mean = points.mean(dim=1, keepdim=True)
    turned = (points - mean) @ turn.transpose(1, 2) + mean
    extent = turned.amax(dim=1, keepdim=True) - turned.amin(dim=1, keepdim=True)
    shifts = torch.tensor([[0.1, -0.2], [0.0, 0.3], [0.05, 0.0]], dtype=torch.float64)
    moved = turned + shifts[:, None] * extent
    assert torch.allclose(undo(moved, angles, shifts), points)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        back = undo(moved.float(), angles, shifts)
    assert torch.allclose(back, points.float(), atol=1e-5)


def test_peclr_by_hand():
    """A quarter turn from x to y of the points (1, 0) and (−1, 0) is (0, 1) and (0, −1)."""
    points = torch.tensor([[[0.0, 1], [0, -1]]])
    back = undo(points, torch.tensor([math.pi / 2]), torch.zeros(1, 2))
    assert torch.allclose(back, torch.tensor([[[1.0, 0], [-1, 0]]]), atol=1e-6)


def test_peclr_keeps_extent_and_mean_out_of_the_gradient():
    points = torch.rand(1, 4, 2, dtype=torch.float64, requires_grad=True)
    shifts = torch.tensor([[0.5, 0.25]], dtype=torch.float64)
    undo(points, torch.zeros(1, dtype=torch.float64), shifts)[0, 0, 0].backward()
    expected = torch.zeros(1, 4, 2, dtype=torch.float64)
    expected[0, 0, 0] = 1
    assert torch.equal(points.grad, expected)


# -------------------------------------------------------------------------------------- mistakes

HEADS = {
    'SimCLR': SimCLRHead(4, hidden_channels=4, out_channels=4),
    'SimSiam': SimSiamHead(4, channels=4, predictor_channels=4),
    'BYOL': BYOLHead(4, hidden_channels=4, out_channels=4),
    'MoCo': MoCoHead(4, hidden_channels=4, out_channels=4, queue_length=4),
    'SwAV': SwAVHead(4, hidden_channels=4, out_channels=4, prototypes=4),
    'PeCLR': PeCLRHead(4, hidden_channels=4, points=2),
}


@pytest.mark.parametrize('name', HEADS)
def test_another_number_of_channels_is_refused(name):
    with pytest.raises(ValueError, match='in_channels=4, but the last feature map has 5'):
        HEADS[name].project(torch.zeros(2, 5))


@pytest.mark.parametrize('name', HEADS)
def test_a_diverged_run_stops(name):
    broken = torch.full((2, 4), torch.nan)
    further = {'BYOL': ([broken, broken],), 'MoCo': ()}
    arguments = (broken, broken) if name == 'MoCo' else ([broken, broken], *further.get(name, ()))
    with pytest.raises(ValueError, match='NaN or infinity'):
        HEADS[name].loss(*arguments)


@pytest.mark.parametrize(
    ('head', 'options', 'message'),
    [
        (MoCoHead, dict(queue_length=0), 'queue_length=0'),
        (MoCoHead, dict(temperature=0), 'temperature=0'),
        (SimCLRHead, dict(temperature=-1), 'temperature=-1'),
        (SwAVHead, dict(epsilon=0), 'epsilon=0'),
        (SwAVHead, dict(prototypes=1), 'prototypes=1'),
        (SwAVHead, dict(queue_length=-1), 'queue_length=-1'),
    ],
)
def test_arguments_out_of_range_are_refused(head, options, message):
    with pytest.raises(ValueError, match=message):
        head(4, **options)
