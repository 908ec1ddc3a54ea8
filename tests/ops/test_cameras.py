import cv2
import numpy as np
import pytest
import torch
from mmpose.structures.bbox import get_warp_matrix

from hsjp_mm.ops.cameras import (
    FOCAL,
    crop_projection,
    crop_to_image,
    fit_translation,
    guess_camera,
    image_to_crop,
    input_to_crop,
    project,
    to_pixels,
    translation_to_weak,
    weak_projection,
    weak_to_translation,
)

WEAK = torch.tensor([[0.9, 0.1, -0.2], [0.5, 0, 0], [1.4, -0.3, 0.25]], dtype=torch.float64)
CROPS = torch.tensor([[100.0, 90, 120], [320, 240, 200], [500, 400, 80]], dtype=torch.float64)
SIZES = torch.tensor([[640.0, 480]] * 3, dtype=torch.float64)


def test_by_hand():
    """A crop of 200 px and s = 1: a meter is 100 px, so that it is 6 m away at a focal of 600."""
    weak = torch.tensor([1.0, 0.5, -0.25])
    crop, principal = torch.tensor([400.0, 300, 200]), torch.tensor([320.0, 240])
    translation = weak_to_translation(weak, crop, 600, principal)
    assert translation.tolist() == pytest.approx([0.5 + 0.8, -0.25 + 0.6, 6])
    pixel = project(translation[None], 600, principal)
    assert pixel[0].tolist() == pytest.approx([400 + 50, 300 - 25])
    focal, principal = guess_camera(torch.tensor([300.0, 400]))
    assert (focal.item(), principal.tolist()) == (500, [150, 200])


def test_of_the_crop_itself_as_hmr_has_it():
    """t = (x, y, 2 f / (w s)), with the principal point at the crop's center."""
    crops = torch.tensor([112.0, 112, 224]).expand(3, 3)
    translation = weak_to_translation(WEAK, crops, FOCAL, crops[:, :2])
    expected = torch.stack([WEAK[:, 1], WEAK[:, 2], 2 * 5000 / (224 * WEAK[:, 0])], dim=1)
    torch.testing.assert_close(translation, expected)


@pytest.mark.parametrize('focal', ['guessed', 1100.0])
def test_there_and_back(focal):
    guessed, principal = guess_camera(SIZES)
    focal = guessed if focal == 'guessed' else focal
    translation = weak_to_translation(WEAK, CROPS, focal, principal)
    torch.testing.assert_close(translation_to_weak(translation, CROPS, focal, principal), WEAK)


def test_perspective_is_weak_at_the_depth_of_the_origin():
    points = torch.rand(3, 50, 3, dtype=torch.float64) - 0.5
    weak = weak_projection(points, WEAK)
    expected = CROPS[:, None, :2] + weak * CROPS[:, None, 2:] / 2
    focal, principal = guess_camera(SIZES)
    translation = weak_to_translation(WEAK, CROPS, focal, principal)
    flat = points * torch.tensor([1, 1, 0])
    torch.testing.assert_close(project(flat + translation[:, None], focal, principal), expected)
    # and at all depths, the longer the focal length the better
    errors = []
    for factor in (1, 10, 100):
        translation = weak_to_translation(WEAK, CROPS, factor * focal, principal)
        found = project(points + translation[:, None], factor * focal, principal)
        errors.append((found - expected).norm(dim=-1).max().item())
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert errors[2] < 1


def test_what_is_drawn_in_the_image_is_where_the_crop_has_it():
    """Dots drawn by the image's camera, found again in the warped crop by their brightness."""
    points = torch.tensor([[0.3, -0.5, 0], [-0.4, 0.2, 0], [0, 0, 0]], dtype=torch.float64)
    focal, principal = guess_camera(SIZES[:1])
    weak, crop = WEAK[:1], torch.tensor([[420.0, 160, 150]], dtype=torch.float64)
    translation = weak_to_translation(weak, crop, focal, principal)
    pixels = project(points + translation[:, None], focal, principal)[0]
    size = 224
    expected = (weak_projection(points[None], weak)[0] + 1) * size / 2
    warp = get_warp_matrix(crop[0, :2].numpy(), crop[0, [2, 2]].numpy(), 0, (size, size))
    rows, columns = np.mgrid[:480, :640]
    for (x, y), place in zip(pixels.tolist(), expected.tolist(), strict=True):
        image = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2**2))
        seen = cv2.warpAffine(image, warp, (size, size), flags=cv2.INTER_LINEAR)
        down, across = np.mgrid[:size, :size]
        found = [(across * seen).sum() / seen.sum(), (down * seen).sum() / seen.sum()]
        assert found == pytest.approx(place, abs=0.1)
    assert np.ptp(expected.numpy()) > 50


def test_gradients_reach_the_camera():
    weak = WEAK.clone().requires_grad_()
    focal, principal = guess_camera(SIZES)

    def pixels(weak):
        translation = weak_to_translation(weak, CROPS, focal, principal)
        return project(
            torch.ones(3, 2, 3, dtype=torch.float64) + translation[:, None], focal, principal
        )

    assert torch.autograd.gradcheck(pixels, weak)


def test_projection_on_the_crop_is_that_of_the_body_before_the_camera():
    torch.manual_seed(0)
    points = 0.6 * torch.randn(3, 8, 3, dtype=torch.float64)
    focal, principal = guess_camera(SIZES)
    translation = weak_to_translation(WEAK, CROPS, focal, principal)
    pixels = project(points + translation[:, None], focal, principal)
    expected = (pixels - CROPS[:, None, :2]) / (CROPS[:, None, 2:] / 2)
    torch.testing.assert_close(crop_projection(points, WEAK, CROPS, focal, principal), expected)
    # the far camera of HMR is nearly weak perspective
    far = crop_projection(points, WEAK, torch.tensor([0.0, 0, 224]), FOCAL, torch.zeros(2))
    assert 1e-4 < (far - weak_projection(points, WEAK)).abs().max() < 0.1


@pytest.mark.parametrize('scale', [-50.0, -1, 0, 1e-9, 50, 1e6])
def test_projection_on_the_crop_is_finite_for_any_scale(scale):
    points = torch.randn(1, 8, 3, requires_grad=True)
    weak = torch.tensor([[scale, 0.1, 0.1]], requires_grad=True)
    found = crop_projection(points, weak, CROPS[:1].float(), 800.0, SIZES[:1].float() / 2)
    assert torch.isfinite(found).all()
    found.square().sum().backward()
    for values in (points, weak):
        assert torch.isfinite(values.grad).all()


def test_translations_are_found_back_from_pixels():
    torch.manual_seed(0)
    points = 0.5 * torch.randn(3, 9, 3, dtype=torch.float64)
    focal, principal = guess_camera(SIZES)
    translation = torch.tensor([[0.4, -0.2, 4], [-1, 0.3, 6], [0, 0, 3]], dtype=torch.float64)
    pixels = project(points + translation[:, None], focal, principal)
    weights = torch.rand(3, 9, dtype=torch.float64)
    weights[:, 0] = 0
    pixels[:, 0] = 1e4  # and does not count
    found = fit_translation(points, pixels, weights, focal, principal)
    torch.testing.assert_close(found, translation)


def test_noisy_translations_are_those_of_numpys_least_squares():
    """One equation for x and one for y of each point, as SPIN's code solves them."""
    rng = np.random.default_rng(0)
    points, weights = rng.normal(size=(9, 3)), rng.random(9)
    pixels = 600 * (points[:, :2] + np.array([0.4, -0.2])) / (points[:, 2:] + 5) + [320, 240]
    pixels = pixels + rng.normal(size=(9, 2)) * 5
    rows, goals = [], []
    for (x, y, z), (u, v), weight in zip(points, pixels, weights, strict=True):
        for axis, (place, pixel) in enumerate(((x, u - 320), (y, v - 240))):
            row = [600.0 * (axis == 0), 600.0 * (axis == 1), -pixel]
            rows.append(np.sqrt(weight) * np.array(row))
            goals.append(np.sqrt(weight) * (pixel * z - 600 * place))
    expected = np.linalg.lstsq(np.array(rows), np.array(goals), rcond=None)[0]
    tensors = (torch.from_numpy(values) for values in (points, pixels, weights))
    found = fit_translation(*tensors, 600.0, torch.tensor([320.0, 240]))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_points_that_are_not_seen_may_be_anything_and_too_few_tell_nothing():
    torch.manual_seed(0)
    points = 0.5 * torch.randn(3, 9, 3, dtype=torch.float64)
    focal, principal = guess_camera(SIZES)
    translation = torch.tensor([[0.4, -0.2, 4], [-1, 0.3, 6], [0, 0, 3]], dtype=torch.float64)
    pixels = project(points + translation[:, None], focal, principal)
    weights = torch.ones(3, 9)
    weights[0, 4] = 0
    pixels[0, 4] = torch.nan
    weights[1, 1:] = 0
    found = fit_translation(points, pixels, weights, focal, principal)
    torch.testing.assert_close(found[[0, 2]], translation[[0, 2]])
    assert found[1].isnan().all()


def test_pixels_in_one_place_tell_nothing():
    """They are labels by mistake, or of a person far away; the equations are nearly singular."""
    torch.manual_seed(0)
    points = 0.5 * torch.randn(300, 9, 3, dtype=torch.float64)
    weights = (torch.rand(300, 9) < 0.5).double()
    pixels = (600 * torch.rand(300, 1, 2, dtype=torch.float64)).expand(300, 9, 2)
    principal = torch.tensor([320.0, 240], dtype=torch.float64)
    assert fit_translation(points, pixels, weights, 600.0, principal).isnan().all()
    assert fit_translation(points, pixels, 0 * weights, 600.0, principal).isnan().all()
    # two that are a pixel apart do
    pixels = pixels[:1, :2] + torch.tensor([[0.0, 0], [1, 0]])
    points = torch.tensor([[[0.0, 0, 0], [0.01, 0, 0]]], dtype=torch.float64)
    found = fit_translation(points, pixels, torch.ones(1, 2), 600.0, principal)
    assert float(found[0, 2]) == pytest.approx(6)


def test_units_of_crops_and_inputs():
    """A crop of 200 px about (100, 90); its right edge is at 1, and the top of an input of 192 px
    by 256 px too is at −1, while its sides are at ∓0.75."""
    crop = torch.tensor([[100.0, 90, 200]], dtype=torch.float64)
    points = torch.tensor([[[200.0, 90], [0, -10]]], dtype=torch.float64)
    found = image_to_crop(points, crop)
    assert found.tolist() == [[[1, 0], [-1, -1]]]
    torch.testing.assert_close(crop_to_image(found, crop), points)
    corners = torch.tensor([[0.0, 0], [192, 256], [96, 128]])
    assert input_to_crop(corners, (192, 256)).tolist() == [[-0.75, -1], [0.75, 1], [0, 0]]


def test_to_pixels_has_both_focal_lengths():
    points, camera = np.array([[1.0, 2, 4], [0, 0, 1]]), np.array([100.0, 200, 30, 40])
    assert to_pixels(points, camera).tolist() == [[55, 140], [30, 40]]
    cameras = torch.from_numpy(np.stack([camera, camera + 1]))
    each = to_pixels(torch.from_numpy(points).expand(2, 2, 3), cameras[:, None])
    assert each[1].tolist() == [[101 / 4 + 31, 201 / 2 + 41], [31, 41]]
