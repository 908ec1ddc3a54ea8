"""The sheared crop: keypoints stay on what they are painted on."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmpose.codecs import MSRAHeatmap
from mmpose.datasets.transforms import TopdownAffine

from hsjp_mm.datasets import ColorAugmentation, InputAffine, TopdownShearAffine, set_input_size

SIZE = (96, 64)  # width, height of the crop
DOTS = np.array([[[60, 50], [100, 80], [80.0, 64], [50, 85]]], np.float32)


def person(rotation: float = 0.0) -> dict:
    """A picture of 160×130 with a dot at each keypoint, one color channel or two each."""
    image = np.zeros((130, 160, 3), np.uint8)
    y, x = np.mgrid[:130, :160]
    for (u, v), channels in zip(DOTS[0], ([0], [1], [2], [0, 1]), strict=True):
        heat = 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 2.5**2))
        for channel in channels:
            image[..., channel] = np.maximum(image[..., channel], heat.round())
    return {
        'img': image, 'img_shape': image.shape[:2], 'keypoints': DOTS.copy(),
        'keypoints_visible': np.ones((1, 4), np.float32),
        'bbox_center': np.array([[78.0, 66]], np.float32),
        'bbox_scale': np.array([[90.0, 70]], np.float32), 'bbox_rotation': np.array([rotation]),
        'flip_indices': [1, 0, 2, 3],
    }  # fmt: skip


def peak(heat: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Center of mass of a dot, (x, y)."""
    y, x = np.mgrid[: heat.shape[0], : heat.shape[1]]
    weight = heat * (np.hypot(x - near[0], y - near[1]) < 7)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)  # noqa: NPY002


def fixed(monkeypatch, factor: float) -> None:
    monkeypatch.setattr(np.random, 'uniform', lambda low, high: factor * high)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('rotation', [0.0, 25.0])
@pytest.mark.parametrize('factor', [-1.0, 0.4, 1.0])
def test_keypoints_stay_on_their_dots(monkeypatch, factor, rotation, use_udp):
    fixed(monkeypatch, factor)
    made = TopdownShearAffine(SIZE, use_udp=use_udp)(person(rotation))
    assert made['img'].shape == (64, 96, 3)
    checked = 0
    for point, channel in zip(made['transformed_keypoints'][0][:3], range(3), strict=True):
        if (point > 9).all() and (point < np.array(SIZE) - 9).all():
            heat = made['img'][..., channel].astype(float)
            if channel < 2:  # the fourth dot has these too
                assert np.hypot(*(made['transformed_keypoints'][0][3] - point)) > 14
            np.testing.assert_allclose(peak(heat, point), point, atol=0.15)
            checked += 1
    assert checked >= 2


def test_the_factor_by_hand(monkeypatch):
    """No rotation: zoom 96/105, the box being made 105×70; center at (48, 32)."""
    fixed(monkeypatch, 1)
    made = TopdownShearAffine(SIZE, shear=0.5)(person())
    zoom = 96 / 105
    x, y = ((DOTS[0] - [78, 66]) * zoom).T
    expected = np.stack([48 + x + 0.5 * y, 32 + y], axis=1)
    np.testing.assert_allclose(made['transformed_keypoints'][0], expected, atol=1e-4)
    np.testing.assert_allclose(made['input_scale'], [105, 70])
    np.testing.assert_allclose(made['bbox_scale'], [[105, 70]])
    assert np.array_equal(made['keypoints'], DOTS)  # as in stock


@pytest.mark.parametrize('use_udp', [False, True])
def test_without_shear_it_is_the_stock_crop(use_udp):
    stock = TopdownAffine(SIZE, use_udp)(person(20.0))
    made = TopdownShearAffine(SIZE, shear=0, use_udp=use_udp)(person(20.0))
    assert made.keys() == stock.keys()
    for key, value in stock.items():
        assert np.array_equal(made[key], value), key


def test_the_opposite_shear_brings_the_points_back(monkeypatch):
    """And the center stays; the image was interpolated once, so equals its one warp."""
    center = {**person(15.0), 'keypoints': np.array([[[78.0, 66]]], np.float32)}
    for factor in (-1, 1):
        fixed(monkeypatch, factor)
        made = TopdownShearAffine(SIZE)({**center})['transformed_keypoints']
        np.testing.assert_allclose(made, [[[48, 32]]], atol=1e-4)
    points = []
    for factor in (0.8, -0.8, 0):
        fixed(monkeypatch, factor)
        points.append(TopdownShearAffine(SIZE)(person(15.0))['transformed_keypoints'])
    np.testing.assert_allclose((points[0] + points[1]) / 2, points[2], atol=1e-4)


def test_one_interpolation(monkeypatch):
    fixed(monkeypatch, 1)
    calls = []
    warp = cv2.warpAffine

    def counted(image, *args, **options):
        calls.append(args)
        return warp(image, *args, **options)

    monkeypatch.setattr(cv2, 'warpAffine', counted)
    made = TopdownShearAffine(SIZE)(person(15.0))
    ((matrix, _),) = calls
    expected = cv2.transform(DOTS, matrix)
    np.testing.assert_allclose(made['transformed_keypoints'], expected, atol=1e-4)


def test_factors_are_uniform():
    transform = TopdownShearAffine(SIZE, shear=0.5)
    base = TopdownAffine(SIZE)(person())['transformed_keypoints'][0]
    lean = base[1, 1] - base[0, 1]
    factors = []
    for _ in range(600):
        moved = transform(person())['transformed_keypoints'][0] - base
        np.testing.assert_allclose(moved[:, 1], 0, atol=1e-4)
        factors.append((moved[1, 0] - moved[0, 0]) / lean)
    counts, _ = np.histogram(factors, bins=6, range=(-0.5, 0.5))
    assert counts.sum() == 600
    assert ((counts - 100) ** 2 / 100).sum() < 15.1  # chi-square with 5 degrees, p = 0.01


def test_the_whole_augmentation_keeps_targets_on_the_dots():
    """Stock flip, scale and rotation before it, color jitter and targets after it."""
    codec = dict(type='MSRAHeatmap', input_size=SIZE, heatmap_size=(24, 16), sigma=1)
    pipeline = Compose(
        [
            dict(type='RandomFlip'),
            dict(
                type='RandomBBoxTransform', shift_prob=0, scale_factor=(0.75, 1.25),
                rotate_factor=30, rotate_prob=1.0,
            ),
            dict(type='hsjp_mm.TopdownShearAffine', input_size=SIZE, shear=0.5),
            dict(
                type='hsjp_mm.ColorAugmentation', brightness=0.4, contrast=0.4, saturation=0.4,
                hue=0, jitter_prob=1, gray_prob=0, blur_prob=0, solarize_prob=0,
            ),
            dict(type='GenerateTarget', encoder=codec),
        ]
    )  # fmt: skip
    errors, seen = [], 0
    for _ in range(60):
        made = pipeline(person())
        points = made['transformed_keypoints'][0]
        cell = made['heatmaps'].reshape(4, -1).argmax(axis=1)
        cells = np.stack([cell % 24, cell // 24], axis=1)
        inside = ((points > 0) & (points < np.array(SIZE) - 2)).all(axis=1)
        assert made['keypoint_weights'][0][inside].all()
        assert np.abs(cells - points / 4)[inside].max() < 0.51
        # the third dot is red alone, and flipping keeps it third
        if (points[2] > 10).all() and (points[2] < np.array(SIZE) - 10).all():
            red = made['img'][..., 2].astype(float) - made['img'][..., :2].max(axis=2)
            errors.append(peak(red.clip(0), points[2]) - points[2])
            seen += 1
    assert seen > 40
    assert np.abs(errors).max() < 0.5
    assert np.abs(np.mean(errors, axis=0)).max() < 0.1


def test_colors_leave_the_keypoints_and_change_the_image():
    results = TopdownAffine(SIZE)(person())
    image, points = results['img'].copy(), results['transformed_keypoints'].copy()
    made = ColorAugmentation(jitter_prob=1, gray_prob=0, blur_prob=0, solarize_prob=0)(results)
    assert np.array_equal(made['transformed_keypoints'], points)
    assert not np.array_equal(made['img'], image)


def test_without_keypoints_as_stock():
    results = {key: value for key, value in person().items() if not key.startswith('keypoints')}
    made = TopdownShearAffine(SIZE)({**results})
    stock = TopdownAffine(SIZE)({**results})
    assert np.array_equal(made['transformed_keypoints'], stock['transformed_keypoints'])


@pytest.mark.parametrize('shear', [-0.1, float('nan')])
def test_a_shear_that_cannot_be(shear):
    with pytest.raises(ValueError, match=f'shear={shear} must be a factor of at least 0'):
        TopdownShearAffine(SIZE, shear=shear)


def test_targets_are_those_of_the_stock_codec(monkeypatch):
    fixed(monkeypatch, 0.6)
    made = TopdownShearAffine(SIZE)(person())
    codec = MSRAHeatmap(SIZE, (24, 16), sigma=1)
    encoded = codec.encode(made['transformed_keypoints'], made['keypoints_visible'])
    points, _ = codec.decode(encoded['heatmaps'])
    inside = encoded['keypoint_weights'][0] > 0
    assert inside.sum() >= 3
    assert np.abs(points - made['transformed_keypoints'])[0][inside].max() < 2.1


class Pipeline:
    """A data set with a pipeline, perhaps one that wraps others."""

    def __init__(self, *transforms, datasets=()):
        self.pipeline = Compose(list(transforms))
        self.datasets = datasets


def test_the_model_tells_the_size_of_the_crops():
    told, inner = InputAffine(), InputAffine()
    with pytest.raises(RuntimeError, match='InputAffine has not been told'):
        told(person())
    dataset = Pipeline(told, datasets=[Pipeline(inner)])
    set_input_size(dataset, SIZE)
    set_input_size(dataset, SIZE)  # before every loop
    stock = TopdownAffine(SIZE)(person())
    for step in (told, inner):
        assert np.array_equal(step(person())['img'], stock['img'])
        assert step(person())['input_size'] == SIZE


def test_a_pipeline_that_states_another_size_is_not_overruled():
    ours, stock = InputAffine((64, 64)), TopdownAffine((64, 64))
    with pytest.raises(ValueError, match=r'input_size=\(96, 64\), but InputAffine .*\(64, 64\)'):
        set_input_size(Pipeline(ours), SIZE)
    set_input_size(Pipeline(stock), SIZE)  # another transform may follow
    set_input_size(Pipeline(ours), SIZE, alone=False)  # which takes crops of any size
    assert ours.input_size == stock.input_size == (64, 64)
