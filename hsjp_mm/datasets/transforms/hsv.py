"""Augmentation of an image's hue, saturation and value.

Letters: H and W height and width of the image. Images are BGR, uint8, as MMCV loads them.
"""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from hsjp_mm.datasets.transforms.color import Random
from hsjp_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class HSVAugmentation(BaseTransform):
    """Multiply an image's hue and saturation by random factors, and scale and raise its value.

    The colors of `PeCLR <https://arxiv.org/abs/2106.05953>`_, as its code draws them, where hue,
    saturation and value are whole numbers of OpenCV: hue from 0 to 179, the others to 255.

    Required and modified key: ``img`` (H, W, 3), BGR, uint8.

    Args:
        hue, saturation, value: ranges of the factors.
        raise_value: range of what is added to the value.

    Raises:
        ValueError: a factor below 0.

    Examples:
        >>> train_pipeline = [dict(type='LoadImage'), dict(type='hsjp_mm.HSVAugmentation')]
    """

    def __init__(
        self,
        hue: tuple[float, float] = (0.01, 1.0),
        saturation: tuple[float, float] = (0.01, 1.0),
        value: tuple[float, float] = (0.5, 1.0),
        raise_value: tuple[float, float] = (5, 20),
    ):
        for name, span in {'hue': hue, 'saturation': saturation, 'value': value}.items():
            if not 0 <= span[0] <= span[1]:
                raise ValueError(f'{name}={span} must be a range of factors of at least 0')
        self.factors = (hue, saturation, value)
        self.raise_value = raise_value

    def transform(self, results: dict) -> dict:
        """Augment ``results['img']``."""
        results['img'] = self.augment(results['img'], np.random)
        return results

    def augment(self, image: np.ndarray, rng: Random) -> np.ndarray:
        """Augment an image (H, W, 3), which stays as it is, with the random numbers of ``rng``."""
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.float32)
        factors = np.array([rng.uniform(*span) for span in self.factors], np.float32)
        added = np.array([0, 0, rng.uniform(*self.raise_value)], np.float32)
        hsv = np.clip(hsv * factors + added, 0, (179, 255, 255))
        return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)
