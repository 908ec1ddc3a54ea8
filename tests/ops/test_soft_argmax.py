import pytest
import torch

from hsjp_mm.ops.soft_argmax import cells_to_crop, soft_argmax


def test_one_high_score_is_the_place():
    scores = torch.zeros(1, 1, 4, 5, 6)
    scores[0, 0, 1, 4, 2] = 100
    assert soft_argmax(scores)[0, 0].tolist() == [2, 4, 1]  # x, y, z


def test_two_equal_scores_are_half_way():
    scores = torch.full((1, 2, 7), -100.0)
    scores[0, 0, [1, 4]] = 3
    scores[0, 1, 6] = 0
    assert soft_argmax(scores).flatten().tolist() == pytest.approx([2.5, 6])


def test_against_a_loop_and_gradients_are_finite():
    scores = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    found = soft_argmax(scores)
    for b in range(2):
        for k in range(3):
            shares = scores[b, k].exp() / scores[b, k].exp().sum()
            x = sum(float(shares[i, j]) * j for i in range(4) for j in range(5))
            y = sum(float(shares[i, j]) * i for i in range(4) for j in range(5))
            assert found[b, k].tolist() == pytest.approx([x, y])
    assert torch.autograd.gradcheck(soft_argmax, scores)


def test_cells_on_the_crop():
    """A volume of 6 × 8 × 4 cells in the square of 8 × 8, two meters deep."""
    cells = torch.tensor([[0.0, 0, 0], [3, 4, 2], [6, 8, 4], [1, 2, 3]])
    expected = [[-0.75, -1, -1], [0, 0, 0], [0.75, 1, 1], [-0.5, -0.5, 0.5]]
    assert cells_to_crop(cells, (6, 8, 4), 1.0).tolist() == expected
