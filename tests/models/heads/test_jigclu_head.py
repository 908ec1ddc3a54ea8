import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hsjp_mm.models import JigCluHead
from hsjp_mm.models.heads.jigclu_head import REGROUPED, decouple
from hsjp_mm.ops import regrouping

# ------------------------------------------------------------------------------------- decouple


def slow_bilinear(rows: list[list[float]], height: int, width: int) -> list[list[float]]:
    """Bilinear enlargement, pixel by pixel; the centers of the corners' pixels are not aligned."""

    def between(index: int, old: int, new: int) -> tuple[int, int, float]:
        place = max((index + 0.5) * old / new - 0.5, 0)
        low = math.floor(place)
        return low, min(low + 1, old - 1), place - low

    enlarged = []
    for i in range(height):
        top, bottom, down = between(i, len(rows), height)
        line = []
        for j in range(width):
            left, right, across = between(j, len(rows[0]), width)
            above = (1 - across) * rows[top][left] + across * rows[top][right]
            below = (1 - across) * rows[bottom][left] + across * rows[bottom][right]
            line.append((1 - down) * above + down * below)
        enlarged.append(line)
    return enlarged


def slow_decouple(rows: list[list[float]], grid: int) -> list[float]:
    """Section 3.2 of the JigClu paper for one channel: the means of the patches, row by row."""
    height, width = (grid * math.ceil(len(side) / grid) for side in (rows, rows[0]))
    big = slow_bilinear(rows, height, width)
    high, wide = height // grid, width // grid
    return [
        sum(big[row * high + i][column * wide + j] for i in range(high) for j in range(wide))
        / (high * wide)
        for row in range(grid)
        for column in range(grid)
    ]


@pytest.mark.parametrize(
    ('height', 'width', 'grid'),
    [
        (7, 7, 2), (56, 56, 2), (56, 56, 3), (8, 8, 3), (7, 5, 2), (4, 9, 3), (12, 7, 4),
        (1, 1, 2), (1, 2, 3), (3, 2, 4), (7, 7, 1), (5, 3, 1),
    ],
)  # fmt: skip
def test_decouple_against_bilinear_enlargement_by_hand(height, width, grid):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, height, width, dtype=torch.float64)
    vectors = decouple(maps, grid)
    assert vectors.shape == (2, grid**2, 3)
    for image in range(2):
        for channel in range(3):
            expected = slow_decouple(maps[image, channel].tolist(), grid)
            assert vectors[image, :, channel].tolist() == pytest.approx(expected, abs=1e-12)


def test_decouple_hand_worked():
    # 8×8 needs no enlargement: four means of 16 cells
    maps = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert decouple(maps, 2).flatten().tolist() == [13.5, 17.5, 45.5, 49.5]
    # a row of three becomes one of four, 0, 0.625, 1.375, 2, and then two means
    row = torch.tensor([0.0, 1.0, 2.0]).expand(1, 1, 3, 3)
    assert decouple(row, 2)[0, :, 0].tolist() == [0.3125, 1.6875, 0.3125, 1.6875]


def test_decouple_keeps_the_patches_apart():
    maps = torch.zeros(1, 1, 6, 4)
    maps[:, :, 2, 1] = 1  # row 1 of 3, column 0 of 2 … for m = 2 it is the upper left
    assert decouple(maps, 2)[0, :, 0].tolist() == [pytest.approx(1 / 6), 0, 0, 0]


# ------------------------------------------------------------------------------------- branches


def build(channels: int = 6, grid: int = 2, **options) -> JigCluHead:
    torch.manual_seed(0)
    return JigCluHead(channels, grid, **options).double()


def batch(number: int = 3, grid: int = 2, channels: int = 6) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    patches = number * grid**2
    vectors = torch.randn(patches, channels, dtype=torch.float64)
    return vectors, torch.randperm(patches), [patches]


def test_forward_is_a_two_layer_mlp_on_the_sphere_and_one_linear_layer():
    head, (vectors, _, _) = build(dim=5), batch()
    embeddings, logits = head(vectors)
    state = head.state_dict()
    shapes = {name: tuple(weight.shape) for name, weight in state.items()}
    assert shapes == {
        'clustering.0.weight': (6, 6), 'clustering.0.bias': (6,),
        'clustering.2.weight': (5, 6), 'clustering.2.bias': (5,),
        'location.weight': (4, 6), 'location.bias': (4,),
    }  # fmt: skip
    hidden = (vectors @ state['clustering.0.weight'].T + state['clustering.0.bias']).clamp(min=0)
    expected = hidden @ state['clustering.2.weight'].T + state['clustering.2.bias']
    expected = expected / expected.square().sum(dim=1, keepdim=True).sqrt()
    torch.testing.assert_close(embeddings, expected)
    torch.testing.assert_close(
        logits, vectors @ state['location.weight'].T + state['location.bias']
    )


def test_by_default_128_channels_and_a_temperature_of_0_3():
    head = JigCluHead(6, 3)
    assert head.clustering[2].out_features == 128
    assert head.location.out_features == 9
    assert head.clustering_loss.temperature == 0.3
    assert head.alpha == head.beta == 1


@pytest.mark.parametrize(('alpha', 'beta'), [(1, 1), (0.5, 3), (2, 0), (0, 1.5)])
def test_losses_are_alpha_and_beta_times_equations_2_and_3(alpha, beta):
    head, (vectors, sources, sizes) = build(alpha=alpha, beta=beta, temperature=0.5), batch()
    losses = head.loss(vectors, sources, sizes)
    unit, logits = head(vectors)
    expected = {}
    if alpha:
        terms = []
        for i, j in ((i, j) for i in range(12) for j in range(12)):
            if i != j and sources[i] // 4 == sources[j] // 4:
                exponents = [(unit[i] @ unit[k] / 0.5).exp() for k in range(12) if k != i]
                terms.append(-((unit[i] @ unit[j] / 0.5).exp() / sum(exponents)).log() / 3)
        expected['loss_clustering'] = alpha * sum(terms) / 12
    if beta:
        right = [logits[i].log_softmax(dim=0)[sources[i] % 4] for i in range(12)]
        expected['loss_location'] = -beta * sum(right) / 12
    found = {name: value for name, value in losses.items() if 'loss' in name}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ('options', 'missing', 'names'),
    [
        (dict(alpha=0), 'clustering', {'loss_location'}),
        (dict(beta=0), 'location', {'loss_clustering'}),
    ],
)
def test_a_branch_of_weight_0_is_left_out(options, missing, names):
    head, (vectors, sources, sizes) = build(**options), batch()
    assert not any(name.startswith(missing) for name in head.state_dict())
    vectors.requires_grad_()
    losses = head.loss(vectors, sources, sizes)
    assert {name for name in losses if 'loss' in name} == names
    assert ('location' in losses) == ('restored' in losses) == (missing != 'location')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for weight in (vectors, *head.parameters()):
        assert weight.grad.abs().sum() > 0


def test_without_clustering_branch_the_vectors_themselves_are_measured():
    head, (vectors, _, _) = build(alpha=0), batch()
    torch.testing.assert_close(head(vectors)[0], F.normalize(vectors, dim=1))


# ------------------------------------------------------------------------------------- measures


def perfect(number: int, order: torch.Tensor) -> tuple[JigCluHead, torch.Tensor]:
    """A head that copies: image and location stand in the vectors, one-hot."""
    channels = number + 4
    head = build(channels, dim=number)
    sources = torch.arange(number * 4)[order]
    vectors = torch.cat([F.one_hot(sources // 4, number), F.one_hot(sources % 4, 4)], dim=1)
    with torch.no_grad():
        for weight in head.parameters():
            weight.zero_()
        head.clustering[0].weight.copy_(torch.eye(channels))
        head.clustering[2].weight[:, :number] = torch.eye(number)
        head.location.weight[:, number:] = torch.eye(4)
    return head, vectors.double()


def test_measures_of_a_head_that_knows_all_and_of_one_patch_mistaken():
    torch.manual_seed(0)
    order = torch.randperm(5 * 4)
    head, vectors = perfect(5, order)
    values = head.loss(vectors, order, [20])
    for name in ('retrieval', 'location', 'restored'):
        assert values[name] == 1
    assert values['retrieval_chance'] == pytest.approx(3 / 19)
    assert values['location_chance'] == 0.25
    assert values['restored_chance'] == pytest.approx(1 / (math.comb(19, 3) * 24))
    place = int((order == 9).argwhere())  # location 1 of image 2
    right = vectors[place].clone()
    vectors[place, 5:] = torch.tensor([0, 0, 0, 2.0])  # looks more like location 3 than that one
    values = head.loss(vectors, order, [20])
    assert values['retrieval'] == 1
    assert values['location'] == pytest.approx(19 / 20)
    assert values['restored'] == pytest.approx(4 / 5)
    vectors[place] = right
    vectors[place, :5] = torch.tensor([0.8, 0, 0.6, 0, 0])  # nearer to image 0, which is complete
    values = head.loss(vectors, order, [20])
    assert values['retrieval'] == pytest.approx(19 / 20)
    assert values['location'] == values['restored'] == 1


def test_restored_is_measured_on_the_first_64_images():
    number = REGROUPED + 2
    assert REGROUPED == 64
    torch.manual_seed(0)
    order = torch.randperm(number * 4)
    head, vectors = perfect(number, order)
    vectors[order // 4 >= 64, number:] = 1.0  # of the last two all locations look the same
    vectors[order // 4 >= 64, number] = 2.0
    values = head.loss(vectors, order, [number * 4])
    assert values['restored'] == 1
    assert values['location'] == pytest.approx((64 + 2 / 4) / 66)
    assert values['restored_chance'] == pytest.approx(1 / (math.comb(255, 3) * 24))
    vectors[order // 4 == 5] = vectors[order // 4 == 5][0].clone()
    assert head.loss(vectors, order, [number * 4])['restored'] == pytest.approx(63 / 64)


@pytest.mark.parametrize(('grid', 'images'), [(2, 64), (3, 28), (4, 16)])
def test_as_many_patches_are_put_together_whatever_the_grid(grid, images, monkeypatch):
    seen = []

    def put_together(vectors, logits):
        seen.append(len(vectors))
        return np.zeros((len(vectors) // grid**2, grid**2), int)

    monkeypatch.setattr(regrouping, 'put_together', put_together)
    monkeypatch.setattr(regrouping, 'restored', lambda found, _: np.zeros(len(found)))
    patches = 70 * grid**2
    build(grid=grid).loss(torch.randn(patches, 6).double(), torch.randperm(patches), [patches])
    assert seen == [images * grid**2]


def test_measures_take_no_gradient_and_are_logged_as_numbers():
    head, (vectors, sources, sizes) = build(), batch()
    vectors.requires_grad_()
    for name, value in head.loss(vectors, sources, sizes).items():
        assert value.requires_grad == name.startswith('loss_')
        assert value.numel() == 1 and value.isfinite()


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(alpha=0, beta=0), 'alpha=0 and beta=0 must be at least 0, and one above'),
        (dict(alpha=-1), r'alpha=-1 and beta=1\.0 must be'),
        (dict(beta=-0.5), r'beta=-0\.5 must be'),
        (dict(alpha=math.nan), 'alpha=nan and'),
        (dict(beta=math.nan), 'beta=nan must'),
        (dict(temperature=0), 'temperature=0 must be positive'),
        (dict(temperature=-1.0), r'temperature=-1\.0 must be positive'),
    ],
)
def test_arguments_outside_their_range(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_vectors_of_another_number_of_channels():
    with pytest.raises(ValueError, match='in_channels=6, but the last feature map has 7'):
        build()(torch.zeros(8, 7, dtype=torch.float64))


@pytest.mark.parametrize('options', [{}, dict(alpha=0), dict(beta=0)])
@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_features_that_are_not_finite(options, value):
    head, (vectors, sources, sizes) = build(**options), batch()
    vectors[4, 2] = value
    with pytest.raises(ValueError, match='hold NaN or infinity: the run has diverged'):
        head.loss(vectors, sources, sizes)
