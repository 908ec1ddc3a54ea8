import math

import pytest
import torch

from hsjp_mm.models import DetConBHead, DetConSHead

LENGTH = 6


def head(temperature: float = 0.1) -> DetConSHead:
    return DetConSHead(4, hidden_channels=4, out_channels=LENGTH, temperature=temperature)


def rows(images: int, drawn: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (images, 2, drawn, LENGTH)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def cosine(one, other) -> float:
    one, other = one.tolist(), other.tolist()
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def slow_loss(anchors, keys, drawn, temperature: float) -> float:
    """Section 3.1 of the paper, anchor by anchor, key by key."""
    images, _, number, _ = anchors.shape
    total = 0.0
    for view in range(2):
        for image in range(images):
            for place in range(number):
                anchor, segment = anchors[image, view, place], drawn[image, view, place]
                positives, all_terms = [], 0.0
                for other_view in range(2):
                    for other in range(images):
                        for k in range(number):
                            same = other == image and drawn[other, other_view, k] == segment
                            if same and other_view == view:
                                continue
                            similarity = cosine(anchor, keys[other, other_view, k]) / temperature
                            all_terms += math.exp(similarity)
                            if same:
                                positives.append(similarity)
                if not positives:
                    continue
                terms = [math.log(all_terms) - similarity for similarity in positives]
                repeats = sum(int(other == segment) for other in drawn[image, view])
                total += sum(terms) / len(terms) / repeats / (images * number)
    return total


@pytest.mark.parametrize('segments', [1, 3, 20])
@pytest.mark.parametrize('temperature', [0.1, 0.5])
def test_loss_against_its_formula(segments, temperature):
    anchors, keys = rows(3, 4), rows(3, 4, seed=1)
    drawn = torch.randint(0, segments, (3, 2, 4), generator=torch.Generator().manual_seed(2))
    found = head(temperature).loss(anchors, keys, drawn)['loss_contrastive']
    assert float(found) == pytest.approx(slow_loss(anchors, keys, drawn, temperature), rel=1e-12)


def test_loss_by_hand():
    """Two images, one segment drawn of each view; at temperature 1.

    Image 0 shows segment 5 in both views, image 1 segment 2 in the first and 3 in the second. An
    anchor of image 0 has one positive, at cosine 1, and the two keys of image 1, at cosine 0: its
    own key is left out. Those of image 1 have no positive.
    """
    anchors = torch.zeros(2, 2, 1, LENGTH)
    anchors[0, :, 0, 0] = anchors[1, :, 0, 1] = 1.0
    drawn = torch.tensor([[[5], [5]], [[2], [3]]])
    found = head(1.0).loss(anchors, anchors, drawn)
    # the sum over the views of means over two anchors, one of which counts
    assert float(found['loss_contrastive']) == pytest.approx(math.log((math.e + 2) / math.e))
    assert float(found['segment_retrieval']) == 1
    assert float(found['segment_retrieval_chance']) == 1 / 2


def test_a_segment_drawn_often_counts_once():
    """Four draws of the one segment of a crop, all equal: as one draw, but for the mean."""
    one = rows(2, 1)
    drawn = torch.tensor([[[5], [5]], [[2], [2]]])
    four = head().loss(one.expand(-1, -1, 4, -1), one.expand(-1, -1, 4, -1), drawn.expand(2, 2, 4))
    expected = 0.0
    for view in range(2):
        for image in range(2):
            anchor = one[image, view, 0]
            terms = [
                4 * math.exp(cosine(anchor, one[other, other_view, 0]) / 0.1)
                for other in range(2)
                for other_view in range(2)
                if other != image or other_view != view
            ]
            similarity = cosine(anchor, one[image, 1 - view, 0]) / 0.1
            expected += (math.log(sum(terms)) - similarity) / 4 / 2
    assert float(four['loss_contrastive']) == pytest.approx(expected)


def test_anchors_without_a_positive_have_no_gradient():
    anchors = rows(2, 3).requires_grad_()
    drawn = torch.tensor([[[0, 1, 1], [1, 1, 2]], [[0, 0, 0], [1, 1, 1]]])
    loss = head().loss(anchors, rows(2, 3, seed=1), drawn)['loss_contrastive']
    loss.backward()
    moved = anchors.grad.abs().sum(dim=3) > 0
    assert moved.tolist() == [[[False, True, True], [True, True, False]], [[False] * 3] * 2]


def test_with_one_network_the_gradient_goes_through_both_sides():
    anchors, keys = rows(2, 3).requires_grad_(), rows(2, 3).requires_grad_()
    both = rows(2, 3).requires_grad_()
    drawn = torch.randint(0, 2, (2, 2, 3), generator=torch.Generator().manual_seed(0))
    head().loss(anchors, keys, drawn)['loss_contrastive'].backward()
    head().loss(both, both, drawn)['loss_contrastive'].backward()
    torch.testing.assert_close(both.grad, anchors.grad + keys.grad)
    assert keys.grad.abs().sum() > 0.1


def test_retrieval_by_a_loop_and_its_chance():
    anchors, keys = rows(4, 5), rows(4, 5, seed=1)
    keys = keys + 0.5 * anchors.flip(1)
    drawn = torch.randint(0, 3, (4, 2, 5), generator=torch.Generator().manual_seed(2))
    found, counted, pairs = 0, 0, 0
    for image in range(4):
        for view in range(2):
            for place in range(5):
                right = [
                    (image, k) for k in range(5)
                    if drawn[image, 1 - view, k] == drawn[image, view, place]
                ]  # fmt: skip
                if not right:
                    continue
                counted, pairs = counted + 1, pairs + len(right)
                everyone = [(other, k) for other in range(4) for k in range(5)]
                nearest = max(
                    everyone,
                    key=lambda o: cosine(anchors[image, view, place], keys[o[0], 1 - view, o[1]]),
                )
                found += nearest in right
    values = head().loss(anchors, keys, drawn)
    assert 0 < found < counted < 40
    assert float(values['segment_retrieval']) == pytest.approx(found / counted)
    assert float(values['segment_retrieval_chance']) == pytest.approx(pairs / counted / 20)


def test_without_any_positive_the_loss_is_zero():
    drawn = torch.tensor([[[0, 1], [2, 3]], [[0, 1], [2, 3]]])
    values = head().loss(rows(2, 2), rows(2, 2), drawn)
    assert [float(value) for value in values.values()] == [0, 0, 0]


# -------------------------------------------------------------------------------------- networks


def test_networks_are_those_of_simclr_and_byol():
    small, large = DetConSHead(2048), DetConBHead(2048)
    assert {k: tuple(v.shape) for k, v in small.named_parameters() if v.ndim > 1} == {
        'projector.fc0.weight': (2048, 2048),
        'projector.fc1.weight': (128, 2048),
    }
    assert {k: tuple(v.shape) for k, v in large.named_parameters() if v.ndim > 1} == {
        'projector.fc0.weight': (4096, 2048),
        'projector.fc1.weight': (256, 4096),
        'predictor.fc0.weight': (4096, 256),
        'predictor.fc1.weight': (256, 4096),
    }
    assert small.temperature == large.temperature == 0.1
    # the authors' layers: a bias before the norm, none behind the last
    names = {name for name, _ in large.named_parameters()}
    assert 'projector.fc0.bias' in names and 'projector.fc1.bias' not in names


def test_segments_are_projected_row_by_row():
    torch.manual_seed(0)
    large = DetConBHead(4, hidden_channels=5, out_channels=6).eval()
    vectors = torch.randn(2, 3, 4)
    projected = large.project_segments(vectors)
    torch.testing.assert_close(projected[1, 2], large.project(vectors[1, 2:])[0])
    predicted = large.predict(projected)
    assert predicted.shape == (2, 3, 6)
    torch.testing.assert_close(predicted[1, 2], large.predictor((projected[1, 2:],))[0][0])


# -------------------------------------------------------------------------------------- mistakes


def test_mistakes_are_refused():
    for cls in (DetConSHead, DetConBHead):
        with pytest.raises(ValueError, match='temperature=0 must be positive'):
            cls(4, temperature=0)
    with pytest.raises(ValueError, match='in_channels=4, but the last feature map has 5'):
        head().project_segments(torch.zeros(2, 3, 5))
    broken = rows(2, 3)
    broken[1, 0, 2, 3] = math.nan
    with pytest.raises(ValueError, match='NaN or infinity'):
        head().loss(broken, rows(2, 3), torch.zeros(2, 2, 3, dtype=torch.long))
