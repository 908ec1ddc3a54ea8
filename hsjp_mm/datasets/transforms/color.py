"""Augmentation of an image's colors.

Letters: H and W height and width of the image. Images are BGR, uint8, as MMCV loads them.
"""

from collections.abc import Callable
from types import ModuleType

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from hsjp_mm.registry import TRANSFORMS
from hsjp_mm.utils.moved import old_arguments, old_class

# numpy.random, which MMEngine seeds in every worker, or the random numbers of one instance
Random = ModuleType | np.random.RandomState


@TRANSFORMS.register_module()
class ColorAugmentation(BaseTransform):
    """Jitter, grayscale, blur and solarize an image, each with its own probability.

    The operations that section 3.2 of the HSJP paper lists, with the strengths of the second view
    of `BYOL <https://arxiv.org/abs/2006.07733>`_ (table 6 there), the view that has them all. The
    arithmetic is torchvision's (the tests hold it to that); on OpenCV because torchvision v2
    takes six times as long (2.5 ms for 0.4 ms, for a 224×224 image on one core).

    Required and modified key: ``img`` (H, W, 3), BGR, uint8.

    Args:
        brightness, contrast, saturation: factors are drawn from 1 ± this.
        hue: turned by ± this share of the color circle, at most 0.5.
        jitter_prob: probability of these four, in random order.
        gray_prob: probability of grayscale.
        blur_prob: probability of a Gaussian blur.
        blur_sigma: range of its standard deviation in pixels of a 224-pixel side; in proportion
            for other sizes.
        solarize_prob: probability of inverting the values from 128.

    Raises:
        ValueError: an argument outside its range.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='hsjp_mm.ColorAugmentation', jitter_prob=0.5),
        ... ]
    """

    @old_arguments(solarise_prob='solarize_prob')
    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.2,
        hue: float = 0.1,
        jitter_prob: float = 0.8,
        gray_prob: float = 0.2,
        blur_prob: float = 0.1,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
        solarize_prob: float = 0.2,
    ):
        shares = {
            'brightness': brightness, 'contrast': contrast, 'saturation': saturation,
            'jitter_prob': jitter_prob, 'gray_prob': gray_prob, 'blur_prob': blur_prob,
            'solarize_prob': solarize_prob,
        }  # fmt: skip
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise ValueError(f'{name}={value} must be in [0, 1]')
        if not 0 <= hue <= 0.5:
            raise ValueError(f'hue={hue} must be in [0, 0.5]')
        if not 0 < blur_sigma[0] <= blur_sigma[1]:
            raise ValueError(f'blur_sigma={blur_sigma} must be a range of positive numbers')
        self.jitters: list[tuple[Callable, float, float]] = [
            (adjust_brightness, 1 - brightness, 1 + brightness),
            (adjust_contrast, 1 - contrast, 1 + contrast),
            (adjust_saturation, 1 - saturation, 1 + saturation),
            (adjust_hue, -hue, hue),
        ]
        self.jitter_prob = jitter_prob
        self.gray_prob = gray_prob
        self.blur_prob = blur_prob
        self.blur_sigma = blur_sigma
        self.solarize_prob = solarize_prob

    def transform(self, results: dict) -> dict:
        """Augment ``results['img']``."""
        results['img'] = self.augment(results['img'], np.random)
        return results

    def augment(self, image: np.ndarray, rng: Random) -> np.ndarray:
        """Augment an image (H, W, 3), which stays as it is, with the random numbers of ``rng``."""
        if rng.rand() < self.jitter_prob:
            for i in rng.permutation(len(self.jitters)):
                adjust, low, high = self.jitters[i]
                image = adjust(image, rng.uniform(low, high))
        if rng.rand() < self.gray_prob:
            image = cv2.cvtColor(_gray(image), cv2.COLOR_GRAY2BGR)
        if rng.rand() < self.blur_prob:
            sigma = rng.uniform(*self.blur_sigma) * min(image.shape[:2]) / 224
            image = cv2.GaussianBlur(image, (0, 0), sigma)
        if rng.rand() < self.solarize_prob:
            image = np.where(image < 128, image, 255 - image)
        return image


ColourAugmentation = old_class('ColourAugmentation', ColorAugmentation)
TRANSFORMS.register_module(module=ColourAugmentation)


def _gray(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the values by a factor."""
    return cv2.convertScaleAbs(image, alpha=factor)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend the image with the mean of its gray values."""
    offset = (1 - factor) * _gray(image).mean()
    table = np.clip(np.arange(256) * factor + offset, 0, 255)
    return cv2.LUT(image, table.astype(np.uint8))


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend the image with its gray values."""
    gray = cv2.cvtColor(_gray(image), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(image, factor, gray, 1 - factor, 0)


def adjust_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Turn the colors by a share of the circle."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
    hsv[..., 0] = hsv[..., 0] + np.uint8(round(turn * 256) % 256)  # which wraps round
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)
