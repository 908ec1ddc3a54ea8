import pytest
import torch
import torch.nn.functional as F

from hsjp_mm.ops.joint_retrieval import NAMES, retrieval_shares, retrieval_sums


def slow_shares(vectors: list[list[float]], labels: list[tuple[int, int, int]]) -> dict:
    """The three ways of looking up, joint by joint."""

    def look_up(row: int, allowed, right) -> tuple[float, float] | None:
        others = [k for k in range(len(labels)) if allowed(labels[row], labels[k])]
        if not others:
            return None
        dots = [sum(a * b for a, b in zip(vectors[row], vectors[k], strict=True)) for k in others]
        nearest = others[dots.index(max(dots))]
        chance = sum(right(labels[row], labels[k]) for k in others) / len(others)
        return float(right(labels[row], labels[nearest])), chance

    ways = {
        'joint_retrieval': (lambda a, b: a[0] != b[0], lambda a, b: a[2] == b[2]),
        'image_retrieval': (
            lambda a, b: a[2] != b[2] and a[:2] != b[:2],
            lambda a, b: a[0] == b[0],
        ),
        'pair_retrieval': (lambda a, b: a != b, lambda a, b: (a[0], a[2]) == (b[0], b[2])),
    }
    shares = {}
    for name, way in ways.items():
        found = [look_up(row, *way) for row in range(len(labels))]
        found = [pair for pair in found if pair is not None]
        for i, end in enumerate(('', '_chance')):
            shares[name + end] = sum(pair[i] for pair in found) / len(found)
    return shares


def draw(images: int = 4, views: int = 2, joints: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of a part of the joints, and their labels."""
    torch.manual_seed(0)
    labels = (torch.rand(images, views, joints) < 0.7).nonzero()
    rows = torch.randn(len(labels), 6, dtype=torch.float64)
    rows[:, 0] += 2 * labels[:, 0]  # so that not all neighbors are wrong
    rows[:, 1] += 2 * labels[:, 2]
    return F.normalize(rows, dim=1), labels


def shares_of(rows, labels) -> dict:
    sums = retrieval_sums(rows, rows, labels, labels)
    return {name: float(share) for name, share in retrieval_shares(sums).items()}


def test_equals_looking_up_joint_by_joint():
    rows, labels = draw()
    expected = slow_shares(rows.tolist(), [tuple(label) for label in labels.tolist()])
    found = shares_of(rows, labels)
    assert found == pytest.approx(expected, abs=1e-6)
    assert all(0 < found[name] < 1 for name in NAMES)


def test_a_collapsed_network_is_at_chance():
    rows, labels = draw()
    found = shares_of(torch.ones_like(rows) / rows.shape[1] ** 0.5, labels)
    for name in NAMES:
        assert found[name] == pytest.approx(found[f'{name}_chance'])


def test_parts_of_several_processes_make_up_the_whole():
    rows, labels = draw()
    parts = [
        retrieval_sums(rows[i:j], rows, labels[i:j], labels) for i, j in ((0, 3), (3, 20), (20, 99))
    ]
    whole = retrieval_sums(rows, rows, labels, labels)
    torch.testing.assert_close(sum(parts), whole)


@pytest.mark.parametrize(
    ('column', 'solved'),
    [(2, 'joint_retrieval'), (0, 'image_retrieval')],
)
def test_vectors_that_tell_one_label_alone(column, solved):
    labels = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(4))
    rows = torch.eye(4)[labels[:, column]]
    assert shares_of(rows, labels)[solved] == 1


def test_chance_of_three_images_with_two_views_of_four_joints():
    labels = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(4))
    shares = shares_of(F.normalize(torch.randn(24, 8), dim=1), labels)
    assert shares['joint_retrieval_chance'] == pytest.approx(4 / 16)  # of 2 others, 2 views each
    assert shares['image_retrieval_chance'] == pytest.approx(3 / 15)  # of 5 other views
    assert shares['pair_retrieval_chance'] == pytest.approx(1 / 23)


def test_nothing_to_look_among_gives_zero():
    labels = torch.tensor([[0, 0, 1], [0, 0, 2]])
    shares = shares_of(torch.eye(2), labels)
    assert shares['joint_retrieval'] == shares['joint_retrieval_chance'] == 0
