import math

import pytest
import torch

pytest.importorskip('mmpretrain')

from hsjp_mm.models import MAEHead
from hsjp_mm.models.heads.mae_head import position_embedding
from hsjp_mm.ops.windows import Windows

WIDE = Windows((8, 12), (4, 4), (1, 1))  # 2 rows and 3 columns


def make_head(windows: Windows = WIDE, seed: int = 0, **options) -> MAEHead:
    torch.manual_seed(seed)
    settings = dict(channels=16, depth=2, num_heads=2) | options
    head = MAEHead(in_channels=12, windows=windows, **settings)
    head.init_weights()
    return head


def orders(number: int, batch: int) -> torch.Tensor:
    return torch.stack([torch.randperm(number) for _ in range(batch)])


@pytest.mark.parametrize('grid', [(2, 3), (3, 2), (16, 12)])
def test_each_token_has_the_sines_and_cosines_of_its_own_row_and_column(grid):
    channels = 12
    found = position_embedding(grid, channels)[0]
    assert found.shape == (grid[0] * grid[1], channels)
    for row in range(grid[0]):
        for column in range(grid[1]):
            expected = [
                wave(place / 10000 ** (i / 3))
                for place in (row, column)
                for wave in (math.sin, math.cos)
                for i in range(3)
            ]
            assert found[row * grid[1] + column].tolist() == pytest.approx(expected, abs=1e-5)


def slow_loss(head: MAEHead, latents, order, crops) -> float:
    """The paper's loss, pixel by pixel: only masked patches, each normalised by itself."""
    found = head(latents, order)
    visible = latents.shape[1]
    (_, width), (high, wide) = WIDE.image, WIDE.size
    columns = (width + 2) // wide
    errors = []
    for image in range(len(crops)):
        for i, place in enumerate(order[image, visible:].tolist()):
            top, left = place // columns * high - 1, place % columns * wide - 1
            pixels = []
            for color in range(3):
                for y in range(top, top + high):
                    for x in range(left, left + wide):
                        outside = y < 0 or x < 0  # the padding
                        pixels.append(0.0 if outside else float(crops[image, color, y, x]))
            mean = sum(pixels) / len(pixels)
            variance = sum((pixel - mean) ** 2 for pixel in pixels) / (len(pixels) - 1)
            for pixel, painted in zip(pixels, found[image, i].tolist(), strict=True):
                errors.append((painted - (pixel - mean) / math.sqrt(variance + 1e-6)) ** 2)
    return sum(errors) / len(errors)


def test_loss_against_a_slow_loop():
    head = make_head()
    latents, order, crops = torch.randn(3, 2, 12), orders(6, 3), torch.randn(3, 3, 8, 12)
    found = head.loss(latents, order, crops)
    assert float(found['loss_pixels']) == pytest.approx(slow_loss(head, latents, order, crops))


def test_loss_by_hand():
    """A network that paints ½ everywhere, and a masked patch of the values 0, 1, 2 in its colors.

    Mean 1, variance 16·(1 + 0 + 1) / 47; normalised −s, 0, s with s² = 47/32; the mean of
    (½ + s)², ¼ and (½ − s)² is ¼ + 2s²/3.
    """
    head = make_head()
    head.pixels.weight.data.zero_()
    head.pixels.bias.data.fill_(0.5)
    crops = torch.tensor([0.0, 1.0, 2.0])[None, :, None, None].expand(1, 3, 8, 12)
    order = torch.tensor([[0, 1, 2, 3, 5, 4]])  # masked: 4, which no padding touches
    found = head.loss(torch.randn(1, 5, 12), order, crops)
    assert float(found['loss_pixels']) == pytest.approx(0.25 + 2 * 47 / 32 / 3, rel=1e-5)
    assert float(found['explained']) == pytest.approx(-0.25 / (2 * 47 / 32 / 3), rel=1e-4)
    assert found['variation'] == 0  # a batch of one


def test_prediction_of_the_targets_has_no_loss_and_explains_all(monkeypatch):
    head = make_head()
    order, crops = orders(6, 4), torch.randn(4, 3, 8, 12)
    targets = head.targets(crops, order[:, 2:])
    monkeypatch.setattr(head, 'forward', lambda latents, order: targets)
    found = head.loss(torch.randn(4, 2, 12), order, crops)
    assert [float(found[name]) for name in ('loss_pixels', 'explained', 'variation')] == (
        pytest.approx([0, 1, 1])
    )


def test_painting_the_same_in_all_images_has_no_variation(monkeypatch):
    """What is painted depends on the place alone, as for a network that sees nothing."""
    head = make_head()
    order, crops = orders(6, 4), torch.randn(4, 3, 8, 12)
    by_place = torch.randn(6, 48)
    monkeypatch.setattr(head, 'forward', lambda latents, order: by_place[order[:, 2:]])
    found = head.loss(torch.randn(4, 2, 12), order, crops)
    assert found['variation'] == pytest.approx(0, abs=1e-3)
    assert found['loss_pixels'] > 0.5


def test_visible_patches_have_no_part_in_the_loss():
    head = make_head()
    latents, order, crops = torch.randn(1, 4, 12), orders(6, 1), torch.randn(1, 3, 8, 12)
    windows = WIDE.split(crops)
    windows[0, order[0, :4]] += 10 * torch.randn(4, 48)
    other = head.loss(latents, order, WIDE.join(windows))
    first = head.loss(latents, order, WIDE.join(WIDE.split(crops)))
    assert torch.equal(other['loss_pixels'], first['loss_pixels'])


def test_prediction_does_not_depend_on_the_order_of_the_tokens():
    head = make_head().eval()
    latents, order = torch.randn(1, 3, 12), orders(6, 1)
    shuffle, masked = torch.tensor([2, 0, 1]), torch.tensor([1, 2, 0])
    other = torch.cat([order[:, :3][:, shuffle], order[:, 3:][:, masked]], dim=1)
    found = head(latents[:, shuffle], other)
    torch.testing.assert_close(found, head(latents, order)[:, masked])
    assert not torch.allclose(found, head(latents, order))


def test_every_parameter_gets_a_gradient():
    head = make_head()
    head.loss(torch.randn(2, 3, 12), orders(6, 2), torch.randn(2, 3, 8, 12))[
        'loss_pixels'
    ].backward()
    assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_decoder_is_the_papers_by_default():
    head = make_head(Windows((256, 192), (16, 16), (2, 2)), channels=512, depth=8, num_heads=16)
    by_default = MAEHead(in_channels=12, windows=head.windows)
    assert str(by_default) == str(head)
    assert by_default.pixels.out_features == 768
