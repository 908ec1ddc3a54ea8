"""Test images at several scales: whole images for bottom-up models, crops for top-down ones.

Letters: w and h width and height of the image, W and H of what goes into the network, s a scale.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from mmpose.datasets.transforms import TopdownAffine, bottomup_transforms, formatting

from hsjp_mm.registry import TRANSFORMS

LONGEST = 32
"""The long side of a test image may be so many times its short side. COCO's thinnest images reach
about 13."""
SIX_SCALES = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
"""Factors of the person's box at which the public test code of Yang et al., ICCV 2017 (PyraNet),
cuts its crops."""


@TRANSFORMS.register_module()
class BottomupResize(bottomup_transforms.BottomupResize):
    """Resize until the input size is covered, keep the aspect ratio, and pad to 64 pixels.

    The sizes are those of HigherHRNet's released code: at the smallest scale the short side is
    ``input_size`` times that scale, rounded up to whole pads of 64, the long one follows, less its
    fraction of a pixel, and is padded to 64 on both ends alike; the other scales are multiples of
    that. The stock transform pads each scale by itself (640×480: to 704×512 at scale 1, but
    384×256 at 0.5), so that the heat maps of the scales would not lie on each other. Each scale is
    made from the original image.

    Required keys: ``img``, ``ori_shape``. Modified and added keys, those of the stock transform:
    ``img``, with ``aug_scales`` a list whose first is scale 1; ``img_shape``, ``input_size``
    (W, H), ``input_center`` and ``input_scale``, all at scale 1; ``aug_scales``.

    Args:
        input_size: [width, height] in pixels to be covered; equal for a short side of that length.
        aug_scales: scales besides 1. All must be multiples of the smallest, 1 included.
        size_factor: width and height are padded to multiples of so many pixels.

    Raises:
        ValueError: scales that are no such multiples; or an image whose long side is more than
            ``LONGEST`` short ones, for it would take as many times the memory.

    Examples:
        >>> test_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='hsjp_mm.BottomupResize', input_size=(512, 512), aug_scales=[0.5, 2]),
        ...     dict(type='hsjp_mm.PackImagePyramid'),
        ... ]
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        aug_scales: list[float] | None = None,
        size_factor: int = 64,
    ) -> None:
        super().__init__(input_size, aug_scales, size_factor, resize_mode='expand')
        scales = [1, *(aug_scales or [])]
        self.smallest = min(scales)
        if self.smallest <= 0 or any(
            abs(scale / self.smallest - round(scale / self.smallest)) > 1e-6 for scale in scales
        ):
            raise ValueError(
                f'aug_scales={aug_scales} must be positive and, like 1, multiples of the smallest, '
                'so that all can be padded alike'
            )

    def _get_input_size(
        self, img_size: tuple[int, int], input_size: tuple[int, int]
    ) -> tuple[tuple[float, float], tuple[int, int]]:
        """The stock transform's two sizes for one scale: of the image, and with its padding.

        Args:
            img_size: (w, h).
            input_size: ``self.input_size`` times the scale.
        """
        if max(img_size) > LONGEST * min(img_size):
            raise ValueError(
                f'an image of {img_size[0]}×{img_size[1]} pixels has a side of more than '
                f'{LONGEST} times the other, and bottom-up models take whole images: cut it first'
            )
        covered = self._ceil_to_multiple(
            [side * self.smallest for side in self.input_size], self.size_factor
        )
        zoom = max(new / old for new, old in zip(covered, img_size, strict=True))
        width, height = (side * zoom for side in img_size)
        padded = self._ceil_to_multiple((int(width), int(height)), self.size_factor)
        multiple = round(input_size[0] / (self.input_size[0] * self.smallest))
        return (width * multiple, height * multiple), (padded[0] * multiple, padded[1] * multiple)


@TRANSFORMS.register_module()
class TopdownPyramid(TopdownAffine):
    """The stock crop at several scales of its box, all resized to one input size.

    For the test "on six-scale image pyramids with flipping" of the PBN paper (section 4.2), which
    refers to Yang et al., ICCV 2017, for it. Neither paper names the scales; the default is that
    of the latter's public code. Each crop is cut from the image itself and has the same center.

    Goes with ``hsjp_mm.PackImagePyramid`` and ``hsjp_mm.MultiscaleTopdownPoseEstimator``.

    Required, modified and added keys: those of TopdownAffine, where ``img`` becomes a list of
    crops in the order of ``scales``, and ``input_scale``, ``bbox_scale`` and
    ``transformed_keypoints`` are those of scale 1, whether it is among them or not; ``aug_scales``.

    Args:
        input_size: (W, H) of each crop.
        scales: factors of the box; above 1 the crop shows more and the person is smaller in it.
        use_udp: cut the crops as the codecs of unbiased data processing (UDP) expect it, with
            lengths counted between the centers of the pixels. The same as in the codec.

    Raises:
        ValueError: no scale, or one that is not positive.

    Examples:
        >>> test_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='hsjp_mm.TopdownPyramid', input_size=(256, 256), scales=(0.9, 1.0, 1.1)),
        ...     dict(type='hsjp_mm.PackImagePyramid'),
        ... ]
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        scales: Sequence[float] = SIX_SCALES,
        use_udp: bool = False,
    ) -> None:
        super().__init__(input_size, use_udp)
        if not len(scales) or not all(scale > 0 for scale in scales):
            raise ValueError(f'scales={scales} must be positive numbers, one at least')
        self.scales = tuple(scales)

    def transform(self, results: dict) -> dict:
        """Cut the crops out of ``results['img']``."""
        box = results['bbox_scale']
        crops = [
            super(TopdownPyramid, self).transform({**results, 'bbox_scale': box * scale})['img']
            for scale in self.scales
        ]
        results = super().transform({**results, 'img': []})  # all but the image
        results['img'] = crops
        results['aug_scales'] = self.scales
        return results


@TRANSFORMS.register_module()
class PackImagePyramid(formatting.PackPoseInputs):
    """The stock PackPoseInputs for a list of images, one a scale; stock would stack them.

    ``inputs`` becomes a list too, in the same order, as ``hsjp_mm.MultiscalePoseEstimator`` and
    ``hsjp_mm.MultiscaleTopdownPoseEstimator`` take it, and ``aug_scales`` gets into the data
    sample's meta information.

    Args:
        meta_keys: which keys of the sample go on to its meta information, by default those that
            stock estimators and metrics read.
        pack_transformed: whether to pack the keypoints in pixels of the input too.

    Examples:
        >>> test_pipeline = [
        ...     dict(type='hsjp_mm.BottomupResize', input_size=(512, 512), aug_scales=[0.5, 2]),
        ...     dict(type='hsjp_mm.PackImagePyramid'),
        ... ]
    """

    def transform(self, results: dict) -> dict:
        """Pack ``results['img']``, a list of images (h, w, 3)."""
        packed = super().transform({**results, 'img': results['img'][0]})
        packed['inputs'] = [formatting.image_to_tensor(image) for image in results['img']]
        packed['data_samples'].set_metainfo({'aug_scales': results['aug_scales']})
        return packed


def to_input(points: np.ndarray, metainfo: Mapping) -> np.ndarray:
    """Bring points of an image to the network's input, as stock estimators bring them back.

    Args:
        points: (…, 2), (x, y) in pixels of the original image.
        metainfo: of its data sample, with ``input_size``, ``input_center`` and ``input_scale``.

    Returns:
        (…, 2), in pixels of the input at scale 1.
    """
    extent = np.asarray(metainfo['input_scale'])
    return (points - metainfo['input_center'] + 0.5 * extent) / extent * metainfo['input_size']
