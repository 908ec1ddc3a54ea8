import pytest
import torch

from hsjp_mm.evaluation import PartIoU
from hsjp_mm.ops.part_labels import IGNORED


def measure(*persons, parts=('head', 'body', 'tail')) -> dict:
    """Of (annotated at the input's pixels, predicted at the cells)."""
    metric = PartIoU()
    metric.dataset_meta = {'parts': parts}
    for truth, found in persons:
        metric.process(
            None,
            [
                {
                    'gt_fields': {'part_labels': torch.tensor([truth], dtype=torch.uint8)},
                    'pred_fields': {'part_labels': torch.tensor([found])},
                }
            ],
        )
    return metric.evaluate(len(persons))


def test_iou_over_all_persons_by_hand(log_file):
    truth = [[0, 9, 1, 9], [9] * 4, [2, 9, IGNORED, 9], [9] * 4]  # a stride of 2: every other pixel
    found = measure((truth, [[0, 1], [1, 2]]), (truth, [[1, 1], [2, 2]]))
    # cells (truth, found): (0,0) (1,1) (2,1) and (0,1) (1,1) (2,2)
    assert found['parts/iou/background'] == pytest.approx(1 / 2)
    assert found['parts/iou/head'] == pytest.approx(2 / 4)
    assert found['parts/iou/body'] == pytest.approx(1 / 2)
    assert found['parts/iou'] == pytest.approx(1 / 2)
    assert found['parts/accuracy'] == pytest.approx(4 / 6)
    assert found['parts/accuracy_chance'] == pytest.approx(1 / 3)
    assert found['parts/iou_chance'] == pytest.approx((1 / 3) / (2 - 1 / 3))
    assert 'parts/iou/tail' not in found
    log = log_file.read_text()
    assert 'neither annotated nor predicted: tail' in log
    assert 'head' in log and '50.00' in log


def test_chance_is_what_random_labels_get():
    torch.manual_seed(0)
    shares = torch.tensor([0.6, 0.3, 0.1])
    truth, found = (torch.multinomial(shares, 10**6, replacement=True) for _ in range(2))
    values = measure(
        (truth.reshape(1000, 1000).tolist(), found.reshape(1000, 1000).tolist()),
        parts=('head', 'body'),
    )
    assert values['parts/iou'] == pytest.approx(values['parts/iou_chance'], abs=2e-3)


def test_a_perfect_and_an_empty_answer():
    truth = [[0, 1], [2, 3]]
    assert measure((truth, truth))['parts/iou'] == 1
    assert measure((truth, [[0, 0], [0, 0]]))['parts/iou'] == 0
