"""Training crops of one person.

Points are (x, y) in pixels, sizes (width, height).
"""

import cv2
import numpy as np
from mmpose.datasets.transforms import TopdownAffine
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

from hsjp_mm.datasets.encoded_images import EncodedImage, warp_image
from hsjp_mm.datasets.transforms.pipelines import find_transforms
from hsjp_mm.registry import TRANSFORMS


class EncodedAffine(TopdownAffine):
    """The stock crop, also of an image that ``hsjp_mm.LoadScaledImage`` has not decoded."""

    def transform(self, results: dict) -> dict:
        """Crop ``results['img']``."""
        image = results['img']
        if not isinstance(image, EncodedImage):
            return super().transform(results)
        results = super().transform({**results, 'img': []})  # all but the image
        results['img'] = warp_image(image, self.matrix(results), self.input_size)
        return results

    def matrix(self, results: dict) -> np.ndarray:
        """From the image to the crop that has been cut, (2, 3)."""
        warp_matrix = get_udp_warp_matrix if self.use_udp else get_warp_matrix
        rotation = results['bbox_rotation'][0] if 'bbox_rotation' in results else 0.0
        return warp_matrix(
            results['input_center'], results['input_scale'], rotation, self.input_size
        )


@TRANSFORMS.register_module()
class InputAffine(EncodedAffine):
    """The stock crop, in the size that the pretext model says.

    The stock transform must be told its size in every pipeline. This one is told by the model's
    ``prepare``, through ``hsjp_mm.PrepareDataHook``, so that another size is one line of a config,
    ``model = dict(input_size=(192, 192))``.

    Required, modified and added keys: those of TopdownAffine.

    Args:
        input_size: (width, height) of the crop in pixels, for pipelines that state it. By default
            the model's.
        use_udp: as in TopdownAffine.

    Raises:
        RuntimeError: the size has not been told.

    Examples:
        >>> crop = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='hsjp_mm.InputAffine'),
        ... ]
        >>> default_hooks = dict(prepare_data=dict(type='hsjp_mm.PrepareDataHook'))
    """

    def __init__(self, input_size: tuple[int, int] | None = None, use_udp: bool = False):
        super().__init__((1, 1) if input_size is None else input_size, use_udp)
        self.told = input_size is not None

    def transform(self, results: dict) -> dict:
        """Crop ``results['img']``."""
        if not self.told:
            raise RuntimeError(
                "InputAffine has not been told the size of the crops, which is the model's "
                "input_size: set default_hooks.prepare_data = dict(type='hsjp_mm.PrepareDataHook') "
                'in the config, or without a runner call model.prepare(dataset)'
            )
        return super().transform(results)


def set_input_size(dataset, size: tuple[int, int], alone: bool = True) -> None:
    """Tell every InputAffine of a data set, and of those that it wraps, the size of the crops.

    Other transforms are left as they are: what comes after a stock TopdownAffine may change its
    size, and the model refuses crops of another size than its own.

    Args:
        dataset: with a ``pipeline``, a ``dataset`` or ``datasets``, as MMEngine's and MMPose's.
        size: (width, height) in pixels.
        alone: whether an InputAffine may state no other size, for what follows takes no other.

    Raises:
        ValueError: an InputAffine states another size, and may not.
    """
    size = (size[0], size[1])
    for step in find_transforms(dataset, InputAffine):
        if not step.told:
            step.input_size, step.told = size, True
        elif alone and tuple(step.input_size) != size:
            raise ValueError(
                f'model.input_size={size}, but InputAffine in the pipeline states '
                f'input_size={tuple(step.input_size)}; without it the model alone says the size'
            )


@TRANSFORMS.register_module()
class TopdownShearAffine(EncodedAffine):
    """The stock crop, sheared at random about its center.

    For the augmentation of the PBN paper (section 4.1), "shearing (+/- 0.5)", which MMPose does not
    have. A point (x, y) of the crop moves to (x + k·(y − y of the center), y), the *shear factor* k
    drawn uniformly from ±``shear``: at 0.5 verticals lean by up to 26.6°. The paper says neither
    the unit (half a degree could not be seen, half a radian is nearly the same), nor the axis, nor
    the distribution; the rotation before it turns the axis.

    Shear and crop are one matrix, so the image is interpolated once. Scale and rotation come from
    the stock RandomBBoxTransform before it: ±25 % is ``scale_factor=(0.75, 1.25)``, ±30° is
    ``rotate_factor=30``. For training only: the crop's ``input_center`` and ``input_scale`` do not
    tell of the shear.

    Required, modified and added keys: those of TopdownAffine, with one image in ``img``.

    Args:
        input_size: (width, height) of the crop in pixels.
        shear: greatest shear factor.
        use_udp: cut the crop as the codecs of unbiased data processing (UDP) expect it, with
            lengths counted between the centers of the pixels. The same as in the codec.

    Raises:
        ValueError: ``shear`` is negative.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), rotate_factor=30),
        ...     dict(type='hsjp_mm.TopdownShearAffine', input_size=(256, 256)),
        ... ]
    """

    def __init__(self, input_size: tuple[int, int], shear: float = 0.5, use_udp: bool = False):
        super().__init__(input_size, use_udp)
        if not shear >= 0:
            raise ValueError(f'shear={shear} must be a factor of at least 0')
        self.shear = shear

    def transform(self, results: dict) -> dict:
        """Crop ``results['img']`` and move the keypoints with it."""
        image = results['img']
        results = super().transform({**results, 'img': []})  # all but the image
        matrix = self.matrix(results)
        # NumPy's global generator is the one that MMEngine seeds in every worker
        factor = np.random.uniform(-self.shear, self.shear)
        middle = matrix[1] @ [*results['input_center'], 1]
        shear = np.array([[1, factor, -factor * middle], [0, 1, 0]])
        matrix = shear @ np.vstack([matrix, [0, 0, 1]])
        results['img'] = warp_image(image, matrix, self.input_size)
        if results.get('keypoints') is not None:
            points = results['transformed_keypoints']
            points[..., :2] = cv2.transform(points[..., :2], shear)
        return results
