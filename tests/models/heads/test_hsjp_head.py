import itertools
import math

import pytest
import torch

from hsjp_mm.models import HSJPHead


def bare_head(**options) -> HSJPHead:
    """A head without layers, so that its input is what it predicts."""
    return HSJPHead(4, deconv_out_channels=None, final_layer=None, **options)


def equation_2(heatmaps, centers, sigma: float, size: tuple[int, int]) -> float:
    """The loss, mean over the images, written cell by cell from equations (1) and (2).

    Args:
        heatmaps: (B, K, h, w) float64.
        centers: (B, K, 2), (x, y) in input pixels.
        sigma: in cells.
        size: (width, height) of the input in pixels.
    """
    total = 0.0
    batch, channels, height, width = heatmaps.shape
    for image, channel in itertools.product(range(batch), range(channels)):
        x, y = centers[image, channel].tolist()
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            continue
        for row, column in itertools.product(range(height), range(width)):
            distance = (column - x / 4) ** 2 + (row - y / 4) ** 2
            target = math.exp(-distance / (2 * sigma**2))
            total += (target - heatmaps[image, channel, row, column].item()) ** 2
    return total / (batch * channels * height * width)


def test_loss_is_equation_2():
    torch.manual_seed(0)
    size = (48, 32)
    head = bare_head(grid=2, input_size=size)
    centers = torch.rand(3, 4, 2) * torch.tensor([size]) * 1.4 - 6
    outside = ((centers < 0) | (centers >= torch.tensor(size))).any(dim=2)
    assert outside.any(dim=1).tolist() == [True, True, True] and not outside.all(dim=1).any()
    heatmaps = torch.rand(3, 4, 8, 12)
    loss = head.loss((heatmaps,), centers)['loss_puzzle'].item()
    expected = equation_2(heatmaps.double(), centers.double(), head.sigma, size)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_loss_by_hand():
    # every cell is off by 1/2, and three of four channels count: 3 · 56² · 1/4 / (4 · 56²)
    head = bare_head(grid=2)
    centers = torch.tensor([[[56.0, 56], [168, 56], [-1, 168], [168, 168]]])
    targets, inside = head.targets(centers)
    assert inside.tolist() == [[1, 1, 0, 1]]
    assert head.loss((targets + 0.5,), centers)['loss_puzzle'].item() == pytest.approx(3 / 16)


def test_a_masked_channel_has_no_gradient():
    torch.manual_seed(0)
    head = bare_head(grid=2)
    centers = torch.tensor([[[56.0, 56], [56, 230], [168, 168], [168, -3]]])
    heatmaps = torch.rand(1, 4, 56, 56, requires_grad=True)
    head.loss((heatmaps,), centers)['loss_puzzle'].backward()
    moved = heatmaps.grad.flatten(2).abs().sum(dim=2)[0] > 0
    assert moved.tolist() == [True, False, True, False]


def test_a_center_on_the_border_belongs_to_the_input_only_at_0():
    head = bare_head(grid=2, input_size=(32, 64))
    centers = torch.tensor([[[0.0, 0], [31.9, 63.9], [32, 10], [10, 64]]])
    assert head.targets(centers)[1].tolist() == [[1, 1, 0, 0]]
    centers = torch.tensor([[[-0.01, 9], [9, -0.01], [9, 33], [31, 9]]])
    assert head.targets(centers)[1].tolist() == [[0, 0, 1, 1]]


def test_targets_keep_x_and_y_apart_and_are_not_rounded():
    head = bare_head(grid=2, input_size=(32, 64))
    centers = torch.tensor([[[8.0, 40], [10, 40], [8, 41], [31, 63]]])
    maps = head.targets(centers)[0][0]
    assert maps.shape[1:] == (16, 8)
    assert maps[0, 10, 2].item() == 1
    assert maps[1, 10, 2].item() == pytest.approx(maps[1, 10, 3].item())  # half-way between
    assert maps[2, 10, 2].item() == pytest.approx(math.exp(-(0.25**2) / 2 / head.sigma**2))


@pytest.mark.parametrize('grid', range(2, 9))
def test_sigma_defaults_to_9_over_n_and_keeps_the_papers_bound(grid):
    head = HSJPHead(4, grid, deconv_out_channels=None)
    assert head.sigma == pytest.approx(9 / grid)
    assert head.final_layer.out_channels == grid**2
    bound = 224 / (6 * grid) / 4  # the paper's, in cells of four pixels
    assert HSJPHead(4, grid, sigma=bound - 1e-3).sigma < bound
    with pytest.raises(ValueError, match=rf'sigma={bound} .* below {bound:.4f}'):
        HSJPHead(4, grid, sigma=bound)


@pytest.mark.parametrize('sigma', [0.0, -1.0])
def test_sigma_must_be_positive(sigma):
    with pytest.raises(ValueError, match=f'sigma={sigma} heat-map cells must be positive'):
        HSJPHead(4, 2, sigma=sigma)


def test_sigma_of_another_input_size_is_in_proportion():
    assert HSJPHead(4, 3, input_size=(96, 128)).sigma == pytest.approx(3 * 96 / 224)
    with pytest.raises(ValueError, match=r'below 1\.3333'):  # 96 / 3 / 6 / 4
        HSJPHead(4, 3, input_size=(96, 128), sigma=1.34)


def test_placed_and_peak_by_hand():
    # patches of 32 pixels: a peak is right within 16 pixels, four cells, of the center
    head = bare_head(grid=2, input_size=(64, 64))
    centers = torch.tensor([[[16.0, 16], [48, 16], [16, 48], [48, 70]]])  # the last lies outside
    heatmaps = torch.zeros(1, 4, 16, 16)
    heatmaps[0, 0, 4, 7] = 0.8  # three cells off: right
    heatmaps[0, 1, 4, 8] = 0.4  # four cells off: not below the radius
    heatmaps[0, 2, 4, 12] = 0.2  # row and column swapped: wrong
    heatmaps[0, 3, 15, 12] = 0.6  # near its center, which does not count
    values = head.loss((heatmaps,), centers)
    assert values['placed'].item() == pytest.approx(1 / 3)
    assert values['peak'].item() == pytest.approx(0.5)


def test_perfect_maps_cost_nothing_and_are_all_placed():
    head = bare_head(grid=3, input_size=(96, 64))
    torch.manual_seed(0)
    centers = torch.rand(2, 9, 2) * torch.tensor([96, 64])
    maps = head.targets(centers)[0]
    values = head.loss((maps,), centers)
    assert values['loss_puzzle'].item() == 0
    assert values['placed'].item() == 1


def test_no_center_inside_gives_zeros_and_no_nan():
    head = bare_head(grid=2)
    values = head.loss((torch.rand(1, 4, 56, 56),), torch.full((1, 4, 2), -9.0))
    assert values['loss_puzzle'].item() == 0
    assert values['placed'].item() == 0


def test_predict_gives_the_peaks_in_input_pixels():
    head = bare_head(grid=2, input_size=(32, 64))
    heatmaps = torch.zeros(1, 4, 16, 8)
    heatmaps[0, range(4), [0, 3, 15, 9], [0, 7, 2, 5]] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    points, heights, maps = head.predict((heatmaps,))
    assert points.tolist() == [[[0, 0], [28, 12], [8, 60], [20, 36]]]
    torch.testing.assert_close(heights, torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
    assert torch.equal(maps, heatmaps)


def test_maps_of_another_stride_are_an_error():
    head = bare_head(grid=2)
    with pytest.raises(ValueError, match=r'\(1, 4, 28, 28\).*\(1, 4, 56, 56\).*stride of 4'):
        head.loss((torch.zeros(1, 4, 28, 28),), torch.zeros(1, 4, 2))
