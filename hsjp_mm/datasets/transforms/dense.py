"""Training crops of one person with dense labels: masks of parts, and points on the surface.

Points are (x, y) in pixels, sizes (width, height).
"""

import cv2
import numpy as np

from hsjp_mm.datasets.densepose import NEEDS_SYMMETRY
from hsjp_mm.datasets.part_masks import paint
from hsjp_mm.datasets.transforms.flips import stock_flip
from hsjp_mm.datasets.transforms.topdown import EncodedAffine
from hsjp_mm.ops.part_labels import IGNORED
from hsjp_mm.registry import TRANSFORMS

FIELDS = {'part_labels': 'part_labels'}
LABELS = {name: name for name in ('dense_points', 'dense_charts', 'dense_uv')}


@TRANSFORMS.register_module()
class TopdownDenseAffine(EncodedAffine):
    """The stock crop, and with it the labels of :class:`~hsjp_mm.datasets.PartMaskDataset`.

    Image, masks and points are moved by one matrix, that of the stock crop, after the flip that the
    stock RandomFlip has made. The masks are drawn into the crop at once, nearest pixel, so that
    they are interpolated once. In a flipped image left and right parts change places; points also
    get the chart, U and V of the other side, see
    :class:`~hsjp_mm.datasets.DensePoseDataset`. The stock PackPoseInputs packs the labels.

    Required keys: those of TopdownAffine, with one image in ``img``; ``part_masks``,
    ``label_frame``, ``part_mirror``; for points ``dense_points``, ``dense_charts``, ``dense_uv``.

    Added keys: ``part_labels`` (1, H, W) uint8, 0 for the background, i + 1 for part i, 255 where
    the crop reaches beyond the image.

    Modified keys: ``dense_points`` (1, P, 2) in pixels of the crop, ``dense_charts`` (1, P),
    ``dense_uv`` (1, P, 2).

    Args:
        input_size: (width, height) of the crop in pixels.
        use_udp: as in TopdownAffine.

    Raises:
        ValueError: an image flipped otherwise than left to right; points of a flipped image
            without the symmetry of the charts.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='RandomFlip', direction='horizontal'),
        ...     dict(type='RandomBBoxTransform'),
        ...     dict(type='hsjp_mm.TopdownDenseAffine', input_size=(192, 256)),
        ...     dict(type='PackPoseInputs'),
        ... ]
    """

    def transform(self, results: dict) -> dict:
        """Crop image and labels."""
        results = super().transform(results)
        flipped = results.get('flip', False)
        if flipped and results['flip_direction'] != 'horizontal':
            raise ValueError(
                f'RandomFlip: direction={results["flip_direction"]!r} must be horizontal, for '
                'labels that tell left from right'
            )
        shape = results['img_shape'][:2]
        crop = _square(self.matrix(results))  # from the image, flipped if it is
        place = crop @ stock_flip(results)  # from the image as it was annotated
        mirror = results['part_mirror'] if flipped else None
        labels = self._part_labels(results, place, crop, shape, mirror)
        results['part_labels'] = labels[None]
        results['field_mapping_table'] = {**results.get('field_mapping_table', {}), **FIELDS}
        if 'dense_points' in results:
            self._move_points(results, place, flipped)
            results['label_mapping_table'] = {**results.get('label_mapping_table', {}), **LABELS}
        return results

    def _part_labels(self, results, place, crop, shape, mirror) -> np.ndarray:
        """The labels (H, W) of the crop's pixels."""
        labels = paint(results['part_masks'])
        if mirror is not None:
            labels = mirror.astype(np.uint8)[labels]
        nearest = {'dsize': self.input_size, 'flags': cv2.INTER_NEAREST}
        matrix = (place @ _square(results['label_frame']))[:2]
        labels = cv2.warpAffine(labels, matrix, **nearest)
        inside = cv2.warpAffine(np.ones(shape, np.uint8), crop[:2], **nearest)
        return np.where(inside > 0, labels, IGNORED).astype(np.uint8)

    def _move_points(self, results: dict, place: np.ndarray, flipped: bool) -> None:
        points = results['dense_points'] @ place[:2, :2].T + place[:2, 2]
        charts, uv = results['dense_charts'], results['dense_uv']
        if flipped:
            symmetry = results.get('uv_symmetry')
            if symmetry is None:
                raise ValueError(f'a sample is flipped: {NEEDS_SYMMETRY}')
            charts, uv = symmetry.flip(charts, uv)
        results['dense_points'] = points[None].astype(np.float32)
        results['dense_charts'] = charts[None].astype(np.int64)
        results['dense_uv'] = uv[None].astype(np.float32)


def _square(matrix: np.ndarray) -> np.ndarray:
    return np.vstack([matrix, [0, 0, 1]])
