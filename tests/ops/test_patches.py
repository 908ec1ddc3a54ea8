import itertools
import math

import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap
from scipy.stats import chi2

from hsjp_mm.ops import patches

SIZES = [(2, 12, 20), (3, 21, 6), (5, 10, 35), (1, 4, 7)]  # grid, height, width
IDENTITY = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])


def numbered(height: int, width: int, batch: int = 2, channels: int = 3) -> torch.Tensor:
    """Images of which no two values are equal."""
    return torch.arange(batch * channels * height * width).float().view(batch, channels, height, -1)


def one(value: float) -> torch.Tensor:
    return torch.tensor([float(value)])


def centroid(image: torch.Tensor) -> torch.Tensor:
    """Intensity-weighted (x, y) of an image (H, W), whose pixel centers lie at halves."""
    rows, columns = (torch.arange(side) + 0.5 for side in image.shape)
    x, y = (image.sum(0) * columns).sum(), (image.sum(1) * rows).sum()
    return torch.stack([x, y]) / image.sum()


# ------------------------------------------------------------------------------- split and join


@pytest.mark.parametrize(('grid', 'height', 'width'), SIZES)
def test_split_takes_the_patches_row_by_row(grid, height, width):
    images = numbered(height, width)
    high, wide = height // grid, width // grid
    pieces = patches.split(images, grid)
    for row, column in itertools.product(range(grid), repeat=2):
        expected = images[:, :, row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        assert torch.equal(pieces[:, row * grid + column], expected)


@pytest.mark.parametrize(('grid', 'height', 'width'), SIZES)
def test_join_inverts_split_and_no_pixel_is_lost(grid, height, width):
    images = numbered(height, width)
    pieces = patches.split(images, grid)
    assert torch.equal(pieces.flatten().sort().values, images.flatten())
    assert torch.equal(patches.join(pieces, grid), images)
    assert torch.equal(patches.split(patches.join(pieces, grid), grid), pieces)


def test_split_refuses_a_grid_that_does_not_divide():
    with pytest.raises(ValueError, match='grid=3 does not divide the image, 12×10 pixels'):
        patches.split(numbered(10, 12), 3)


@pytest.mark.parametrize(
    ('grid', 'height', 'width', 'canvas'),
    [(6, 224, 224, (228, 228)), (3, 10, 13, (12, 15)), (4, 9, 16, (12, 16))],
)
def test_resize_rounds_the_patch_up_and_keeps_places(grid, height, width, canvas):
    ramps = torch.stack(
        [torch.arange(width).expand(height, -1), torch.arange(height)[:, None].expand(-1, width)]
    )
    ramps = ramps[None] + 0.5  # x and y of each pixel's center
    resized = patches.resize_to_grid(ramps, grid)
    assert resized.shape[-2:] == canvas
    x = (torch.arange(canvas[1]) + 0.5) * width / canvas[1]
    y = (torch.arange(canvas[0]) + 0.5) * height / canvas[0]
    # at the border there is nothing to interpolate towards
    torch.testing.assert_close(resized[0, 0], x.clamp(0.5, width - 0.5).expand(canvas))
    torch.testing.assert_close(resized[0, 1], y.clamp(0.5, height - 0.5)[:, None].expand(canvas))


def test_resize_leaves_an_image_that_fits_alone():
    images = numbered(12, 8)
    assert patches.resize_to_grid(images, 4) is images


# -------------------------------------------------------------------------- patches that overlap


@pytest.mark.parametrize(
    ('grid', 'overlap', 'starts', 'side'),
    [
        (2, 0.3, [0, 0.35], 0.65),
        (3, 0.1, [0, 0.3, 0.6], 0.4),
        (3, 0.3, [0, 7 / 30, 14 / 30], 1.6 / 3),
        (4, 0.0, [0, 0.25, 0.5, 0.75], 0.25),
        (1, 0.3, [0], 1),
    ],
)
def test_boxes_worked_by_hand(grid, overlap, starts, side):
    boxes = patches.patch_boxes(grid, overlap)
    expected = [(x, y, x + side, y + side) for y in starts for x in starts]  # row by row
    np.testing.assert_allclose(boxes, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('grid', [2, 3, 4, 7])
@pytest.mark.parametrize('overlap', [0, 0.1, 0.3, 0.6, 0.95])
def test_boxes_span_the_image_and_neighbors_share_the_overlap(grid, overlap):
    boxes = np.array(patches.patch_boxes(grid, overlap)).reshape(grid, grid, 4)
    left, top, right, bottom = boxes.transpose(2, 0, 1)
    for start, stop in ((left[0], right[0]), (top[:, 0], bottom[:, 0])):
        assert start[0] == 0
        assert stop[-1] == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(stop[:-1] - start[1:], overlap, rtol=0, atol=1e-12)
        np.testing.assert_allclose(stop - start, (1 + (grid - 1) * overlap) / grid, atol=1e-12)


def test_the_authors_public_code_has_an_overlap_of_six_tenths():
    # it lengthens each half by 0.3 of the side, to [0, 0.8] and [0.2, 1]
    halves = [(0, 0.5 + 0.3), (0.5 - 0.3, 1)]
    expected = [(left, top, right, bottom) for top, bottom in halves for left, right in halves]
    np.testing.assert_allclose(patches.patch_boxes(2, 0.6), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('overlap', [-0.1, 1, 1.5])
def test_overlap_is_a_share_below_one(overlap):
    with pytest.raises(ValueError, match=rf'overlap={overlap} of the image side must be in \[0, 1'):
        patches.patch_boxes(2, overlap)


# -------------------------------------------------------------------------------------- shuffle


def test_shuffle_puts_each_patch_into_its_place():
    pieces = patches.split(numbered(12, 20, batch=3), 4)
    slots = torch.stack([torch.randperm(16) for _ in range(3)])
    moved = patches.shuffle(pieces, slots)
    for image, index in itertools.product(range(3), range(16)):
        assert torch.equal(moved[image, slots[image, index]], pieces[image, index])
    assert torch.equal(patches.shuffle(moved, slots.argsort(dim=1)), pieces)


def test_identity_permutation_returns_the_image():
    images = numbered(9, 15)
    slots = torch.arange(9).expand(2, -1)
    assert torch.equal(patches.join(patches.shuffle(patches.split(images, 3), slots), 3), images)


def test_random_slots_are_uniform_over_all_permutations():
    torch.manual_seed(0)
    draws = patches.random_slots(24_000, 2)
    order = {slots: place for place, slots in enumerate(itertools.permutations(range(4)))}
    counts = np.bincount([order[tuple(slots)] for slots in draws.tolist()], minlength=24)
    statistic = ((counts - 1000) ** 2 / 1000).sum()
    assert chi2.sf(statistic, df=23) > 0.01
    # and consecutive images do not depend on each other
    pairs = np.bincount(draws[::2, 0] * 4 + draws[1::2, 0], minlength=16)
    assert chi2.sf(((pairs - 750) ** 2 / 750).sum(), df=15) > 0.01


@pytest.mark.parametrize(('grid', 'height', 'width'), SIZES)
def test_grid_centers_are_the_middles_of_the_patches(grid, height, width):
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    places = torch.stack([columns, rows])[None] + 0.5
    middles = patches.split(places, grid).mean(dim=(3, 4))[0]
    torch.testing.assert_close(patches.grid_centers(grid, height, width), middles)


# --------------------------------------------------------------------------------------- affine


def test_affine_with_nothing_to_do_is_the_identity():
    matrices = patches.affine((9, 14), (9, 14), one(1), one(0), torch.zeros(1, 2))
    assert torch.equal(matrices, IDENTITY)
    images = numbered(9, 14, batch=1)
    torch.testing.assert_close(
        patches.warp_images(images, matrices, (9, 14)), images, rtol=0, atol=1e-3
    )


def test_affine_fits_one_size_to_another():
    matrices = patches.affine((10, 30), (20, 15), one(1), one(0), torch.zeros(1, 2))
    corners = torch.tensor([[0.0, 0], [30, 0], [0, 10], [30, 10]])
    expected = torch.tensor([[0.0, 0], [15, 0], [0, 20], [15, 20]])
    torch.testing.assert_close(patches.warp_points(corners, matrices)[0], expected)


@pytest.mark.parametrize(
    ('scale', 'degrees', 'shift', 'expected'),
    [
        (1, 90, (0, 0), (20.5, 21)),  # right of the center goes below it: from x to y
        (1, -90, (0, 0), (20.5, 10)),
        (2, 0, (0, 0), (31.5, 15.5)),  # above 1 enlarges
        (1, 0, (3, -2), (29, 13.5)),  # x before y
        (2, 90, (3, -2), (23.5, 24.5)),  # moved last, in pixels of the target
    ],
)
def test_affine_scales_turns_and_moves_about_the_center(scale, degrees, shift, expected):
    size = (31, 41)
    matrices = patches.affine(
        size, size, one(scale), one(math.radians(degrees)), torch.tensor([shift]).float()
    )
    point = torch.tensor([[26.0, 15.5]])  # 5.5 pixels right of the center
    expected = torch.tensor(expected)
    torch.testing.assert_close(patches.warp_points(point, matrices)[0, 0], expected)
    image = torch.zeros(1, 1, *size)
    image[0, 0, 15, 25:27] = 1  # two pixels that meet in that point
    warped = patches.warp_images(image, matrices, size)[0, 0]
    torch.testing.assert_close(centroid(warped), expected, rtol=0, atol=0.01)


def test_invert_affine_takes_points_back():
    torch.manual_seed(0)
    matrices = patches.affine(
        (30, 50), (64, 48), 1 + torch.rand(5), torch.rand(5) * 3, torch.randn(5, 2) * 9
    )
    points = torch.rand(5, 7, 2) * 50
    back = patches.warp_points(
        patches.warp_points(points, matrices), patches.invert_affine(matrices)
    )
    torch.testing.assert_close(back, points, rtol=0, atol=1e-4)


def test_outside_of_a_warped_image_is_zero():
    images = torch.ones(1, 1, 8, 8)
    matrices = patches.affine((8, 8), (8, 8), one(1), one(0), torch.tensor([[3.0, 0]]))
    warped = patches.warp_images(images, matrices, (8, 8))[0, 0]
    assert torch.equal(warped[:, :3], torch.zeros(8, 3))
    torch.testing.assert_close(warped[:, 3:], torch.ones(8, 5))


@pytest.mark.parametrize(
    ('grid', 'canvas', 'target'),
    [(3, (90, 60), (64, 48)), (4, (64, 96), (64, 96)), (6, (228, 228), (224, 224))],
)
def test_a_white_pixel_is_followed_through_shuffle_and_augmentation(grid, canvas, target):
    torch.manual_seed(0)
    height, width = canvas[0] // grid, canvas[1] // grid
    errors = []
    for index in range(grid**2):
        row, column = index // grid * height, index % grid * width
        dy, dx = torch.randint(height, ()).item(), torch.randint(width, ()).item()
        image = torch.zeros(1, 1, *canvas)
        image[0, 0, row + dy, column + dx] = 1
        slots = patches.random_slots(1, grid)
        shuffled = patches.join(patches.shuffle(patches.split(image, grid), slots), grid)
        matrices = patches.affine(
            canvas, target, 1 + 0.35 * (2 * torch.rand(1) - 1),
            math.radians(45) * (2 * torch.rand(1) - 1), 5 * torch.randn(1, 2),
        )  # fmt: skip
        warped = patches.warp_images(shuffled, matrices, target)[0, 0]
        place = patches.grid_centers(grid, *canvas)[slots[0, index]]
        point = place + torch.tensor([dx + 0.5 - width / 2, dy + 0.5 - height / 2])
        expected = patches.warp_points(point[None], matrices)[0, 0]
        if (expected > 2).all() and (expected < torch.tensor(target[::-1]) - 2).all():
            errors.append((centroid(warped) - expected).abs().max().item())
    assert len(errors) > grid**2 / 2
    assert max(errors) < 0.5


# ------------------------------------------------------------------------------------ heat maps


def test_gaussians_are_equation_1_in_float64_at_real_valued_centers():
    torch.manual_seed(0)
    points = torch.rand(2, 3, 2, dtype=torch.float64) * torch.tensor([16, 10]) - 1
    size, sigma = (9, 14), 1.3
    maps = patches.gaussian_maps(points, size, sigma)
    assert maps.dtype == torch.float64
    for image, index, row, column in itertools.product(range(2), range(3), *map(range, size)):
        x, y = points[image, index].tolist()
        expected = math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
        assert maps[image, index, row, column].item() == pytest.approx(expected, abs=1e-14)
    single = patches.gaussian_maps(points.float(), size, sigma)
    torch.testing.assert_close(single.double(), maps, rtol=1e-4, atol=1e-6)


def test_gaussians_are_stock_mmpose_ones_at_integer_cells():
    cells = np.array([[[0, 0], [13, 7], [5, 15], [11, 2]]], dtype=np.float32)
    codec = MSRAHeatmap(input_size=(56, 64), heatmap_size=(14, 16), sigma=1.5, unbiased=True)
    stock = codec.encode(cells * 4)['heatmaps']
    own = patches.gaussian_maps(torch.from_numpy(cells), (16, 14), 1.5)[0]
    torch.testing.assert_close(own, torch.from_numpy(stock), rtol=1e-5, atol=1e-6)


def test_peaks_are_the_highest_cells():
    maps = torch.rand(2, 2, 5, 8) * 0.5
    maps[0, 0, 4, 1], maps[0, 1, 0, 7], maps[1, 0, 2, 2], maps[1, 1, 3, 0] = 0.9, 0.8, 0.7, 0.6
    cells, values = patches.peaks(maps)
    assert cells.tolist() == [[[1, 4], [7, 0]], [[2, 2], [0, 3]]]
    torch.testing.assert_close(values, torch.tensor([[0.9, 0.8], [0.7, 0.6]]))
