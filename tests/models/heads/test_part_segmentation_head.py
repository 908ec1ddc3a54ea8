import math

import pytest
import torch
from mmengine.registry import MODELS

from hsjp_mm.models.heads.part_segmentation_head import segmentation_losses
from hsjp_mm.ops.part_labels import IGNORED

CROSS_ENTROPY = torch.nn.CrossEntropyLoss(ignore_index=IGNORED, reduction='none')


def slow_loss(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """-log of the softmax at the label of pixel (4i, 4j), its mean over the labelled cells."""
    values = []
    for b in range(len(logits)):
        for i in range(logits.shape[2]):
            for j in range(logits.shape[3]):
                label = int(labels[b, 4 * i, 4 * j])
                if label != IGNORED:
                    scores = [float(x) for x in logits[b, :, i, j]]
                    total = sum(math.exp(score) for score in scores)
                    values.append(-math.log(math.exp(scores[label]) / total))
    return sum(values) / len(values)


def test_loss_is_that_of_a_slow_loop():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    labels = torch.randint(4, (2, 12, 20))
    labels[torch.rand(2, 12, 20) < 0.3] = IGNORED
    found = segmentation_losses(logits, labels, CROSS_ENTROPY)
    assert found['loss_parts'].item() == pytest.approx(slow_loss(logits, labels), rel=1e-12)


def test_loss_by_hand():
    """Two labelled cells of four: probabilities 1/2 and 1/4 of the right label."""
    logits = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    logits[0, 1, 0, 1] = math.log(3)  # softmax (1/4, 3/4), the truth is 0
    labels = torch.full((1, 8, 8), IGNORED)
    labels[0, 0, 0], labels[0, 0, 4] = 1, 0
    found = segmentation_losses(logits, labels, CROSS_ENTROPY)
    assert found['loss_parts'].item() == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-12)
    assert found['accuracy'] == 0  # 0 is the first of equals
    assert found['iou'] == 0


def test_without_a_label_the_loss_is_zero_and_has_a_gradient():
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    found = segmentation_losses(logits, torch.full((1, 8, 8), IGNORED), CROSS_ENTROPY)
    found['loss_parts'].backward()
    assert [float(v) for v in found.values()] == [0, 0, 0]
    assert logits.grad.abs().sum() == 0


def test_head_has_a_map_for_each_part_and_the_background():
    head = MODELS.build(
        dict(type='hsjp_mm.PartSegmentationHead', in_channels=8, num_parts=6,
             deconv_out_channels=(4, 4, 4))
    )  # fmt: skip
    feats = (torch.randn(2, 8, 4, 3),)
    assert head(feats).shape == (2, 7, 32, 24)
    labels = torch.zeros(2, 128, 96, dtype=torch.uint8)
    assert set(head.loss(feats, labels)) == {'loss_parts', 'iou', 'accuracy'}
    assert head.predict(feats).shape == (2, 32, 24)
    with pytest.raises(ValueError, match='maps of 24×32 cells do not divide an input of 96×100'):
        head.loss(feats, torch.zeros(2, 100, 96))
