import pytest
import torch
import torch.nn.functional as F

from hsjp_mm.ops.segments import draw, pool, to_cells

# 4 rows and 6 columns on 2 × 3 cells of 2 × 2 pixels
SEGMENTS = torch.tensor(
    [
        [3, 3, 0, 1, -1, -1],
        [3, 2, 1, 1, -1, 4],
        [5, 5, 2, 0, 4, 4],
        [0, 0, 2, 0, 4, -1],
    ]
)


def test_cells_by_hand_with_ties_to_the_lower_number():
    # 3·3 against 2; 3·1; outside three times; 5 and 0 twice; 2 and 0 twice; 3·4
    assert to_cells(SEGMENTS[None], (2, 3)).tolist() == [[3, 1, -1, 0, 0, 4]]


def test_cells_are_those_of_average_pooled_masks():
    """The authors' way: pool the mask of each segment to the map's size, and take the largest."""
    torch.manual_seed(0)
    segments = torch.randint(0, 7, (5, 24, 40))
    masks = F.one_hot(segments).permute(0, 3, 1, 2).float()
    pooled = F.avg_pool2d(masks, 8).round(decimals=6)
    expected = pooled.flatten(2).argmax(dim=1)
    assert torch.equal(to_cells(segments, (3, 5)), expected)


def test_cells_where_the_sides_do_not_divide():
    rows = torch.arange(5)[:, None].expand(5, 3)  # of five rows three belong to the upper cell
    cells = to_cells(torch.stack([rows, 4 - rows]), (2, 1))
    assert cells.tolist() == [[0, 3], [2, 0]]


def test_draws_by_hand():
    cells = torch.tensor([[7, 2, 2, -1, 4], [0, 0, 0, 0, 0]])
    picks = torch.tensor([[0.0, 0.32, 0.34, 0.66, 0.67, 0.999999999], [0, 0.5, 0.99, 0, 0, 0]])
    assert draw(cells, picks).tolist() == [[2, 2, 4, 4, 7, 7], [0] * 6]


def test_each_segment_is_as_likely_whatever_its_size():
    torch.manual_seed(0)
    cells = torch.tensor([[3, 3, 3, 3, 3, 3, 3, 9, -1, 0]])
    drawn = draw(cells, torch.rand(1, 30000))
    numbers, counts = drawn.unique(return_counts=True)
    assert numbers.tolist() == [0, 3, 9]
    assert (counts / 30000).tolist() == pytest.approx([1 / 3] * 3, abs=0.01)


def test_a_view_without_a_segment_is_refused():
    with pytest.raises(ValueError, match='none of the segments'):
        draw(torch.tensor([[1, -1], [-1, -1]]), torch.rand(2, 3))


def test_pool_against_a_loop():
    torch.manual_seed(0)
    maps = torch.randn(3, 5, 2, 4, dtype=torch.float64)
    cells = torch.randint(-1, 3, (3, 8))
    cells[:, :3] = torch.arange(3)  # each holds a cell
    drawn = torch.randint(0, 3, (3, 6))
    found = pool(maps, cells, drawn)
    assert found.shape == (3, 6, 5)
    for image in range(3):
        for place, number in enumerate(drawn[image].tolist()):
            inside = [i for i in range(8) if cells[image, i] == number]
            for channel in range(5):
                values = [float(maps[image, channel, i // 4, i % 4]) for i in inside]
                expected = sum(values) / len(values)
                assert float(found[image, place, channel]) == pytest.approx(expected)
