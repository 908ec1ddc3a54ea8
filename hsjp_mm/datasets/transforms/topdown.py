"""Training crops of one person.

Points are (x, y) in pixels, sizes (width, height).
"""

import cv2
import numpy as np
from mmpose.datasets.transforms import TopdownAffine
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

from hsjp_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class TopdownShearAffine(TopdownAffine):
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
        warp_matrix = get_udp_warp_matrix if self.use_udp else get_warp_matrix
        center = results['input_center']
        rotation = results['bbox_rotation'][0] if 'bbox_rotation' in results else 0.0
        matrix = warp_matrix(center, results['input_scale'], rotation, self.input_size)
        # NumPy's global generator is the one that MMEngine seeds in every worker
        factor = np.random.uniform(-self.shear, self.shear)
        middle = matrix[1] @ [*center, 1]
        shear = np.array([[1, factor, -factor * middle], [0, 1, 0]])
        matrix = shear @ np.vstack([matrix, [0, 0, 1]])
        results['img'] = cv2.warpAffine(image, matrix, self.input_size, flags=cv2.INTER_LINEAR)
        if results.get('keypoints') is not None:
            points = results['transformed_keypoints']
            points[..., :2] = cv2.transform(points[..., :2], shear)
        return results
