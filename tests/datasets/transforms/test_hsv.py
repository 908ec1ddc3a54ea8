import colorsys

import numpy as np
import pytest

from hsjp_mm.datasets import HSVAugmentation


def test_fixed_factors_against_colorsys():
    image = np.random.RandomState(0).randint(0, 256, (8, 8, 3), np.uint8)
    fixed = HSVAugmentation(
        hue=(0.5, 0.5), saturation=(0.8, 0.8), value=(0.7, 0.7), raise_value=(10, 10)
    )
    made = fixed.augment(image, np.random.RandomState(0))
    for pixel, found in zip(image.reshape(-1, 3), made.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixel[::-1] / 255))
        expected = colorsys.hsv_to_rgb(0.5 * hue, 0.8 * saturation, 0.7 * value + 10 / 255)
        # OpenCV's hue has 180 steps, and all three are cut to whole numbers
        assert np.abs(np.array(expected[::-1]) * 255 - found).max() < 8


def test_the_image_stays_and_the_generator_decides():
    image = np.random.RandomState(0).randint(0, 256, (8, 8, 3), np.uint8)
    copy = image.copy()
    transform = HSVAugmentation()
    one = transform.augment(image, np.random.RandomState(1))
    np.testing.assert_array_equal(image, copy)
    np.testing.assert_array_equal(one, transform.augment(image, np.random.RandomState(1)))
    assert not np.array_equal(one, transform.augment(image, np.random.RandomState(2)))
    assert not np.array_equal(transform({'img': image})['img'], image)


def test_negative_factors_are_refused():
    with pytest.raises(ValueError, match=r'saturation=\(-1, 1\)'):
        HSVAugmentation(saturation=(-1, 1))
