import numpy as np
import pytest
import torch

from hsjp_mm.ops.part_labels import (
    CHART_MIRROR,
    DENSEPOSE_PARTS,
    IGNORED,
    at_cells,
    confusion,
    intersection_over_union,
    mirrored,
)


def test_densepose_mirrors_as_its_documentation_says():
    assert len(DENSEPOSE_PARTS) == 14
    assert mirrored(DENSEPOSE_PARTS).tolist() == [
        0, 1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 14,
    ]  # fmt: skip
    assert CHART_MIRROR.tolist() == [
        0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23,
    ]  # fmt: skip


def test_names_of_sides_change_places():
    labels = mirrored(('left_arm', 'tail', 'right_arm', 'leftover'))
    assert labels.tolist() == [0, 3, 2, 1, 4]
    assert labels[labels].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ('parts', 'message'),
    [(('left_arm', 'tail'), "'left_arm' needs its counterpart 'right_arm'"), (('a', 'a'), 'diff')],
)
def test_names_without_a_counterpart_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        mirrored(parts)


def test_cells_look_at_every_fourth_pixel():
    labels = torch.arange(8 * 12).reshape(1, 8, 12)
    assert at_cells(labels, (2, 3)).tolist() == [[[0, 4, 8], [48, 52, 56]]]
    with pytest.raises(ValueError, match='maps of 5×2 cells do not divide an input of 12×8'):
        at_cells(labels, (2, 5))


def test_iou_by_hand_and_by_a_slow_loop():
    truth = torch.tensor([[1, 1, 0, 0], [2, IGNORED, 0, 0]])
    found = torch.tensor([[1, 0, 0, 0], [2, 2, 2, 0]])
    table = confusion(found, truth, 4)
    assert table.tolist() == [[3, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    iou = intersection_over_union(table)
    assert iou[:3].tolist() == [3 / 5, 1 / 2, 1 / 2]
    assert iou[3].isnan()

    rng = np.random.RandomState(0)
    truth, found = (torch.from_numpy(rng.randint(0, 5, (3, 7, 9))) for _ in range(2))
    iou = intersection_over_union(confusion(found, truth, 5))
    for label in range(5):
        both = either = 0
        for a, b in zip(truth.flatten().tolist(), found.flatten().tolist(), strict=True):
            both += a == label and b == label
            either += a == label or b == label
        assert iou[label].item() == pytest.approx(both / either, abs=1e-12)
