import math
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from hsjp_mm.datasets import ColorAugmentation
from hsjp_mm.datasets.transforms.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
)
from hsjp_mm.registry import TRANSFORMS

OFF = dict(jitter_prob=0, gray_prob=0, blur_prob=0, solarize_prob=0)
STEADY = dict(OFF, jitter_prob=1, brightness=0, contrast=0, saturation=0, hue=0)


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(0)  # noqa: NPY002


def noise(height: int = 40, width: int = 64) -> np.ndarray:
    return np.random.RandomState(1).randint(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int = 40, width: int = 64) -> np.ndarray:
    return cv2.resize(noise(5, 8), (width, height))


def torchvision(operation, image: np.ndarray) -> np.ndarray:
    """Run an operation of torchvision, on RGB and channels first, on a BGR image."""
    tensor = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    return operation(tensor).permute(1, 2, 0).numpy()[..., ::-1]


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(int) - other.astype(int))


def augment(image: np.ndarray, **options) -> np.ndarray:
    return ColorAugmentation(**options).transform({'img': image})['img']


@pytest.mark.parametrize('image', [noise(), smooth()], ids=['noise', 'smooth'])
@pytest.mark.parametrize(
    ('adjust', 'reference'),
    [
        (adjust_brightness, F.adjust_brightness),
        (adjust_contrast, F.adjust_contrast),
        (adjust_saturation, F.adjust_saturation),
    ],
)
@pytest.mark.parametrize('factor', [0.6, 0.83, 1.0, 1.4])
def test_jitter_is_torchvisions_but_for_rounding(image, adjust, reference, factor):
    before = image.copy()
    expected = torchvision(lambda x: reference(x, factor), image)
    assert difference(adjust(image, factor), expected).max() <= 1
    assert np.array_equal(image, before)
    if factor != 1:
        assert difference(image, expected).mean() > 1.5  # it does something


@pytest.mark.parametrize('image', [noise(), smooth()], ids=['noise', 'smooth'])
@pytest.mark.parametrize('turn', [-0.1, -0.037, 0.0, 0.05, 0.1, 0.5])
def test_hue_is_torchvisions_within_the_steps_of_an_8_bit_circle(image, turn):
    # of 256 steps, each is 6 grey levels at full saturation; measured: at most 11, mean below 1
    before = image.copy()
    expected = torchvision(lambda x: F.adjust_hue(x, turn), image)
    off = difference(adjust_hue(image, turn), expected)
    assert off.max() <= 12
    assert off.mean() <= 1
    assert np.array_equal(image, before)
    if turn:
        assert difference(image, expected).mean() > 5


def test_grayscale_is_torchvisions():
    image = noise()
    expected = torchvision(lambda x: F.rgb_to_grayscale(x, 3), image)
    assert difference(augment(image, **{**OFF, 'gray_prob': 1}), expected).max() <= 1


def test_solarization_is_torchvisions():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = torchvision(lambda x: F.solarize(x, 128), image)
    assert np.array_equal(augment(image, **{**OFF, 'solarize_prob': 1}), expected)


@pytest.mark.parametrize(('side', 'sigma'), [(224, 2.0), (112, 1.0), (336, 3.0)])
def test_blur_is_torchvisions_and_its_sigma_is_of_a_224_pixel_side(side, sigma):
    image = noise(side, side + 20)
    expected = torchvision(lambda x: F.gaussian_blur(x, 23, sigma), image)
    found = augment(image, **{**OFF, 'blur_prob': 1}, blur_sigma=(2.0, 2.0))
    assert difference(found, expected).max() <= 2
    assert difference(image, expected).mean() > 20


def test_blur_sigma_fills_its_range():
    # the spread of a blurred dot is the sigma
    dot = np.zeros((225, 225, 3), np.uint8)
    dot[112, 112] = 255
    color = ColorAugmentation(**{**OFF, 'blur_prob': 1}, blur_sigma=(1.0, 2.0))
    places = np.arange(225) - 112
    spreads = []
    for _ in range(300):
        row = color.transform({'img': dot})['img'][112, :, 0].astype(float)
        spreads.append(math.sqrt((row * places**2).sum() / row.sum()))
    assert 0.8 < min(spreads) < 1.1
    assert 1.75 < max(spreads) < 2.1


def test_brightness_fills_its_range():
    image = np.full((2, 2, 3), 100, np.uint8)
    values = [augment(image, **{**STEADY, 'brightness': 0.4})[0, 0, 0] for _ in range(300)]
    assert 60 <= min(values) <= 62 and 138 <= max(values) <= 140
    assert np.mean(values) == pytest.approx(100, abs=4)


def test_contrast_fills_its_range():
    image = np.full((2, 2, 3), 50, np.uint8)
    image[0] = 150
    made = [augment(image, **{**STEADY, 'contrast': 0.4})[:, 0, 0] for _ in range(300)]
    values = [int(high) - int(low) for high, low in made]
    assert 59 <= min(values) <= 62 and 138 <= max(values) <= 141


def test_saturation_fills_its_range():
    image = np.full((2, 2, 3), 100, np.uint8)
    image[..., 2] = 200
    made = [augment(image, **{**STEADY, 'saturation': 0.2})[0, 0] for _ in range(300)]
    values = [int(red) - int(blue) for blue, _, red in made]
    assert 79 <= min(values) <= 82 and 118 <= max(values) <= 121


def test_hue_fills_its_range():
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 1] = 255  # green, at a third of the circle
    made = [augment(image, **{**STEADY, 'hue': 0.1}) for _ in range(300)]
    turns = [cv2.cvtColor(m, cv2.COLOR_BGR2HSV_FULL)[0, 0, 0] / 256 - 1 / 3 for m in made]
    assert -0.105 < min(turns) < -0.09
    assert 0.09 < max(turns) < 0.105


def test_jitters_come_in_random_order():
    color = ColorAugmentation(**{**OFF, 'jitter_prob': 1})
    done: list[int] = []

    def note(number, image, factor):
        done.append(number)
        return image

    color.jitters = [(partial(note, number), 0, 1) for number in range(4)]
    for _ in range(2400):
        color.transform({'img': noise(2, 2)})
    orders, counts = np.unique(np.reshape(done, (-1, 4)), axis=0, return_counts=True)
    assert len(orders) == 24
    assert ((counts - 100) ** 2 / 100).sum() < 41.6  # chi-square with 23 degrees, p = 0.01


def test_probability_0_leaves_the_image_alone():
    image = noise()
    for _ in range(50):
        assert np.array_equal(augment(image, **OFF), image)


@pytest.mark.parametrize('name', ['jitter_prob', 'gray_prob', 'blur_prob', 'solarize_prob'])
def test_each_probability_is_that_of_its_own_operation(name):
    image = noise(16, 16)
    counts = []
    for probability in (1, 0.3):
        color = ColorAugmentation(**{**OFF, name: probability}, blur_sigma=(20, 20))
        made = (color.transform({'img': image})['img'] for _ in range(1000))
        counts.append(sum(not np.array_equal(m, image) for m in made))
    assert counts[0] == 1000
    assert counts[1] == pytest.approx(300, abs=45)  # three standard deviations


def test_defaults_are_those_of_byols_second_view():
    color = ColorAugmentation()
    assert [limits for _, *limits in color.jitters] == [
        [0.6, 1.4], [0.6, 1.4], [0.8, 1.2], [-0.1, 0.1]
    ]  # fmt: skip
    shares = (color.jitter_prob, color.gray_prob, color.blur_prob, color.solarize_prob)
    assert shares == (0.8, 0.2, 0.1, 0.2)
    assert color.blur_sigma == (0.1, 2.0)


def test_the_same_seed_gives_the_same_images():
    def make(seed: int) -> np.ndarray:
        np.random.seed(seed)  # noqa: NPY002
        return np.stack([augment(smooth()) for _ in range(20)])

    assert np.array_equal(make(3), make(3))
    assert not np.array_equal(make(3), make(4))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(brightness=1.1), r'brightness=1\.1 must be in \[0, 1\]'),
        (dict(contrast=-0.1), r'contrast=-0\.1 must be'),
        (dict(saturation=2), 'saturation=2 must be'),
        (dict(hue=0.6), r'hue=0\.6 must be in \[0, 0\.5\]'),
        (dict(jitter_prob=1.5), r'jitter_prob=1\.5 must be'),
        (dict(gray_prob=-1), 'gray_prob=-1 must be'),
        (dict(blur_prob=9), 'blur_prob=9 must be'),
        (dict(solarize_prob=1.01), r'solarize_prob=1\.01 must be'),
        (dict(blur_sigma=(0, 1)), r'blur_sigma=\(0, 1\) must be a range of positive numbers'),
        (dict(blur_sigma=(2, 1)), r'blur_sigma=\(2, 1\) must be a range'),
    ],
)
def test_arguments_outside_their_range(options, message):
    with pytest.raises(ValueError, match=message):
        ColorAugmentation(**options)


def test_augment_takes_its_random_numbers_from_where_it_is_told():
    color, image = ColorAugmentation(), smooth()
    state = np.random.RandomState(5)
    found = [color.augment(image, state) for _ in range(20)]
    untouched = np.random.rand()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    expected = [color.transform({'img': image})['img'] for _ in range(20)]
    assert np.array_equal(found, expected)
    np.random.seed(0)  # noqa: NPY002  (what the fixture did)
    assert np.random.rand() == untouched  # noqa: NPY002


def test_the_old_name_builds_the_same_with_a_warning():
    image = smooth()
    with pytest.warns(FutureWarning, match='ColourAugmentation is now ColorAugmentation'):
        old = TRANSFORMS.build(dict(type='hsjp_mm.ColourAugmentation', jitter_prob=1))
    new = TRANSFORMS.build(dict(type='hsjp_mm.ColorAugmentation', jitter_prob=1))
    found = [one.augment(image, np.random.RandomState(3)) for one in (old, new)]
    np.testing.assert_array_equal(*found)


def test_the_argument_of_version_0_1_warns_and_does_the_same():
    with pytest.warns(FutureWarning, match='argument solarise_prob is now solarize_prob'):
        old = ColorAugmentation(solarise_prob=0.7)
    assert old.solarize_prob == 0.7
    with pytest.raises(TypeError, match='give one of them'):
        ColorAugmentation(solarise_prob=0.7, solarize_prob=0.7)
