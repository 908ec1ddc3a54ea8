import pytest
import torch
from torch import nn

from hsjp_mm.ops.windows import Windows, squares_around_means, standardise, sums_by_place


def numbered(height: int, width: int) -> torch.Tensor:
    """Two images (2, 3, height, width) in which no value occurs twice."""
    return torch.arange(6.0 * height * width).reshape(2, 3, height, width)


@pytest.mark.parametrize('image', [(6, 10), (10, 6), (4, 4)])
@pytest.mark.parametrize('size', [(2, 2), (2, 1)])
def test_join_undoes_split(image, size):
    windows, images = Windows(image, size), numbered(*image)
    cut = windows.split(images)
    assert windows.grid == (image[0] // size[0], image[1] // size[1])
    assert cut.shape == (2, windows.number, 3 * size[0] * size[1])
    assert torch.equal(windows.join(cut), images)


def test_windows_are_counted_row_by_row():
    windows, images = Windows((4, 6), (2, 2)), numbered(4, 6)
    cut = windows.split(images)
    for row in range(2):
        for column in range(3):
            expected = images[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.equal(cut[:, 3 * row + column], expected.flatten(1))


def test_padded_windows_reach_over_the_image_and_leave_its_last_pixels_out():
    """ViTPose's padding in small: 4 of padding 1 on 8×12 see the rows −1 to 6, columns −1 to 10."""
    windows, images = Windows((8, 12), (4, 4), (1, 1)), numbered(8, 12) + 1
    cut = windows.split(images)
    assert windows.grid == (2, 3)
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    assert torch.equal(cut[:, 4], padded[:, :, 4:8, 4:8].flatten(1))
    expected = images.clone()
    expected[:, :, 7] = expected[:, :, :, 11] = 0
    assert torch.equal(windows.join(cut), expected)


@pytest.mark.parametrize('padding', [0, 2])
def test_a_window_is_what_the_convolution_sees(padding):
    convolution = nn.Conv2d(3, 5, 16, 16, padding, dtype=torch.float64)
    windows = Windows((48, 32), (16, 16), (padding, padding))
    images = torch.randn(2, 3, 48, 32, dtype=torch.float64)
    expected = convolution(images).flatten(2).transpose(1, 2)
    found = windows.split(images) @ convolution.weight.flatten(1).T + convolution.bias
    torch.testing.assert_close(found, expected)


def test_standardise_by_hand():
    # mean 3, squared differences 9 + 1 + 1 + 9 = 20, over 4 − 1
    windows = torch.tensor([[0.0, 2.0, 4.0, 6.0], [5.0, 5.0, 5.0, 5.0]])
    values, mean, deviation = standardise(windows)
    assert mean[:, 0].tolist() == [3, 5]
    assert deviation[0, 0] == pytest.approx((20 / 3) ** 0.5, rel=1e-6)
    assert values[0].tolist() == pytest.approx([x / (20 / 3) ** 0.5 for x in (-3, -1, 1, 3)])
    assert values[1].tolist() == [0] * 4
    torch.testing.assert_close(values * deviation + mean, windows)


def test_sums_by_place_against_a_loop():
    torch.manual_seed(0)
    values, places = torch.randn(20, 3).double(), torch.randint(4, (20,))
    places[places == 2] = 1  # a place without any
    counts, sums, squares = sums_by_place(values, places, 5)
    around = 0.0
    for place in range(5):
        own = values[places == place]
        assert counts[place] == len(own)
        torch.testing.assert_close(sums[place], own.sum(dim=0))
        assert squares[place] == pytest.approx(float((own**2).sum()))
        if len(own):
            around += float(((own - own.mean(dim=0)) ** 2).sum())
    assert squares_around_means(values, places, 5) == pytest.approx(around)
    assert squares_around_means(values[:1], places[:1], 5) == 0
