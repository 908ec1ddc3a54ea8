"""Training crops of whole images with several persons, and where nothing is to be learnt in them.

Points are (x, y) in pixels, boxes and sizes (width, height).
"""

import numpy as np
from mmpose.datasets import transforms

from hsjp_mm.datasets.segmentations import decode
from hsjp_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BottomupRandomAffine(transforms.BottomupRandomAffine):
    """Rotate, scale and shift an image at random and cut a square out of its middle.

    Section 4.1 of `HigherHRNet <https://arxiv.org/abs/1908.10357>`_, drawn uniformly as in the
    released code. The stock transform draws from a truncated normal by default, and shifts by a
    share of the image, so that the persons move the more, the smaller the crop is. Keys as in
    the stock transform; the border beyond the image is black.

    Args:
        input_size: (width, height) of the crop. Equal, for the stock RandomFlip takes the one for
            the other.
        max_shift: the middle moves by up to so many pixels of the crop along each axis of the
            image. The released code's 40 are parts of a crop of 200, that is 102.4 of 512.
        distribution: 'uniform' or 'trunc_norm', of the shift, the scale and the rotation.
        kwargs: ``scale_factor`` (0.75, 1.5), the range of the crop's side as a share of the
            image's short side, or of its long side with ``scale_type='long'``;
            ``rotate_factor`` (30), in degrees; and other arguments of the stock transform, but
            ``shift_factor``.

    Raises:
        ValueError: ``input_size`` or ``max_shift`` is out of range.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='hsjp_mm.BottomupRandomAffine', input_size=(512, 512)),
        ... ]
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        max_shift: float = 40.0,
        distribution: str = 'uniform',
        **kwargs,
    ):
        if input_size[0] != input_size[1] or input_size[0] < 1:
            raise ValueError(f'input_size={tuple(input_size)} must be a square, for RandomFlip')
        if max_shift < 0:
            raise ValueError(f'max_shift={max_shift} must not be negative')
        super().__init__(tuple(input_size), shift_factor=1.0, distribution=distribution, **kwargs)
        self.max_shift = max_shift

    def transform(self, results: dict) -> dict | None:
        """Crop ``results['img']``, and move ``results['keypoints']`` with it."""
        self.image_size = np.array(results['img_shape'][1::-1])
        return super().transform(results)

    # not cached once more: the decorator would write into a list of the stock class
    def _get_transform_params(self) -> tuple:
        """Draw as stock does, and turn pixels of the crop into the shares that stock wants."""
        shift, scale, rotate, shear = super()._get_transform_params()
        side = self._fix_aspect_ratio(scale * self.image_size, aspect_ratio=1)[0]
        shift = shift * self.max_shift * side / self.input_size[0]
        return shift / self.image_size, scale, rotate, shear


@TRANSFORMS.register_module()
class BottomupGetHeatmapMask(transforms.BottomupGetHeatmapMask):
    """Mask crowds, persons without keypoints and the border, at the size of each heat map.

    The stock transform, which leaves out the segmentations that are run lengths: all of COCO's
    crowds. It also fails on an empty polygon list and on polygons of fewer than three corners,
    which mask nothing here. Stands after BottomupRandomAffine, RandomFlip and GenerateTarget. The
    border is what the crop shows beyond the image; the released code masks it, too.

    Args:
        get_invalid: whether the mask is to be True where nothing can be learnt, not elsewhere. The
            heads want the default.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='hsjp_mm.BottomupGetHeatmapMask'),
        ...     dict(type='PackPoseInputs'),
        ... ]
    """

    def _segs_to_mask(self, segs: list, img_shape: tuple[int, int]) -> np.ndarray:
        mask = np.zeros(img_shape, np.uint8)
        for seg in segs:
            mask |= decode(seg, img_shape)
        return mask
