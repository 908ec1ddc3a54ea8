"""Segments of a crop: pixels that belong together, for methods that compare parts of views.

Letters: h and w height and width of the map of segments. Sizes are (width, height) in pixels,
points (x, y). A *matrix* (2, 3) takes a point of the image to the map.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.datasets.transforms import TopdownAffine
from mmpose.structures.bbox import get_warp_matrix

from hsjp_mm.datasets.encoded_images import warp_image
from hsjp_mm.datasets.part_masks import box_frame, paint
from hsjp_mm.datasets.segmentations import decode, says
from hsjp_mm.datasets.transforms.flips import stock_flip
from hsjp_mm.datasets.transforms.pipelines import find_transforms
from hsjp_mm.registry import TRANSFORMS
from hsjp_mm.utils.optional import import_optional

METHODS = ('felzenszwalb', 'grid', 'annotation', 'parts')
ANNOTATED = {'annotation': 'segmentation', 'parts': 'dp_masks'}
"""The key of a COCO annotation that a method reads."""
REFERENCE_SIDE = 224
"""Of the square map for which ``scale`` and ``min_size`` are stated."""


@dataclass(frozen=True)
class Segmentation:
    """How a crop is divided into segments.

    Attributes:
        method: 'felzenszwalb', by the colors of the pixels, with scikit-image, `Efficient
            Graph-Based Image Segmentation <https://doi.org/10.1023/B:VISI.0000022288.19776.77>`_;
            'grid', cells of equal size; 'annotation', the person by the ``segmentation`` of its
            COCO annotation (1) and everything else (0); 'parts', the person's parts by DensePose's
            ``dp_masks`` (1 to 14) and everything else (0).
        size: of the map. Felzenszwalb's method takes about 0.1 s for 224×224 pixels on one core,
            and a quarter of that for half the side.
        scale: Felzenszwalb's, larger for larger segments, on a map of 224×224 pixels; in proportion
            to the area for others. The default is that of DetCon's authors, for photographs.
        min_size: fewest pixels of a segment, likewise.
        grid: cells along a side.

    Raises:
        ValueError: a value outside its range.
    """

    method: str
    size: tuple[int, int] = (REFERENCE_SIDE, REFERENCE_SIDE)
    scale: float = 1000.0
    min_size: float = 1000.0
    grid: int = 4

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f'method={self.method!r} must be one of {", ".join(METHODS)}')
        if min(self.size) < 1:
            raise ValueError(f'size={self.size} must be at least 1')
        if not (self.scale > 0 and self.min_size >= 0):
            raise ValueError(
                f'scale={self.scale} must be positive, and min_size={self.min_size} at least 0'
            )
        if not 1 <= self.grid <= min(self.size):
            raise ValueError(f'grid={self.grid} must be from 1 to the sides of size={self.size}')


def read_segmentation(keys: Mapping[str, Any]) -> Segmentation:
    """Read how to divide a crop.

    Raises:
        ValueError: no method, an unknown key, or a value outside its range.
    """
    known = [field.name for field in fields(Segmentation)]
    unknown = [key for key in keys if key not in known]
    if unknown or 'method' not in keys:
        wrong = f'unknown {", ".join(unknown)}' if unknown else 'no method'
        raise ValueError(f'segments={dict(keys)}: {wrong}; known are {", ".join(known)}')
    size = keys.get('size', Segmentation.size)
    return Segmentation(**{**keys, 'size': tuple(size)})


@TRANSFORMS.register_module()
class SegmentCrop(BaseTransform):
    """Divide a crop into segments, which ``hsjp_mm.MakeViews`` then moves with each view.

    How is the model's to say: ``hsjp_mm.PrepareDataHook`` tells it through :func:`set_segments`.
    The crop is the padded box, enlarged to the shape of the map, as the stock TopdownAffine
    enlarges it.

    Masks go with the flip of a stock RandomFlip that stands before it.

    Required keys: ``img`` (H, W, 3), ``bbox_center`` (1, 2) and ``bbox_scale`` (1, 2), as
    GetBBoxCenterScale gives them; for the methods 'annotation' and 'parts' ``raw_ann_info``, the
    COCO annotation, as MMPose's CocoDataset gives it, and ``hsjp_mm.PersonCropDataset`` with
    ``annotation_keys``. Added keys: ``segments`` (h, w), whole numbers from 0, and
    ``segments_matrix`` (2, 3).

    Args:
        segments: for pipelines without a model that tells it: attributes of :class:`Segmentation`.

    Raises:
        ValueError: an argument outside its range; an annotation without its mask, or with one of
            another image size.
        RuntimeError: how to divide has not been told.
        ImportError: scikit-image is needed and not installed.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='hsjp_mm.SegmentCrop'),
        ...     dict(type='hsjp_mm.MakeViews'),
        ...     dict(type='hsjp_mm.PackViews'),
        ... ]

        By itself:

        >>> transform = dict(type='hsjp_mm.SegmentCrop', segments=dict(method='grid', grid=4))
    """

    def __init__(self, segments: Mapping[str, Any] | None = None):
        self.stated = segments is not None
        self.how = None if segments is None else read_segmentation(segments)

    def set_segments(self, segments: Mapping[str, Any]) -> None:
        """Take what the model says.

        Raises:
            ValueError: the pipeline states segments of its own.
        """
        if self.stated:
            raise ValueError(
                "SegmentCrop in the pipeline states segments, but they are the model's: give them "
                'as model.segments alone'
            )
        self.how = read_segmentation(segments)

    def transform(self, results: dict) -> dict:
        """Add the segments of the crop."""
        if self.how is None:
            raise RuntimeError(
                "SegmentCrop has not been told how to divide a crop, which is the model's to say: "
                "add dict(type='hsjp_mm.PrepareDataHook') to custom_hooks, or without a runner "
                'call model.prepare(dataset)'
            )
        how = self.how
        width, height = how.size
        crop = TopdownAffine._fix_aspect_ratio(results['bbox_scale'][:1], width / height)[0]
        matrix = get_warp_matrix(results['bbox_center'][0], crop, 0, how.size)
        if how.method == 'felzenszwalb':
            segments = _felzenszwalb(warp_image(results['img'], matrix, how.size), how)
        elif how.method == 'grid':
            rows, columns = (np.arange(side) * how.grid // side for side in (height, width))
            segments = rows[:, None] * how.grid + columns
        else:
            segments = _annotated(results, how, matrix)
        return {**results, 'segments': segments, 'segments_matrix': matrix}


def _felzenszwalb(crop: np.ndarray, how: Segmentation) -> np.ndarray:
    library = import_optional('skimage.segmentation', "dividing a crop by method='felzenszwalb'")
    share = crop.shape[0] * crop.shape[1] / REFERENCE_SIDE**2
    return library.felzenszwalb(
        crop, scale=how.scale * share, min_size=round(how.min_size * share)
    )  # of colors in any order


def _annotated(results: dict, how: Segmentation, matrix: np.ndarray) -> np.ndarray:
    """Move the masks of the annotation to the map."""
    key = ANNOTATED[how.method]
    annotation = results.get('raw_ann_info') or {}
    if not says(annotation, key):
        raise ValueError(
            f'segments by method={how.method!r} need {key!r} of each annotation, which that of '
            f'instance {results.get("id")} lacks; hsjp_mm.PersonCropDataset with '
            f"annotation_keys=['{key}'] hands it on, and leaves out the persons without it"
        )
    if how.method == 'annotation':
        labels, frame = _mask(results, annotation[key]), np.eye(3)
    else:
        labels = paint(annotation[key])
        frame = np.vstack([box_frame(annotation['bbox']), [0, 0, 1]])
    matrix = matrix @ stock_flip(results) @ frame
    return cv2.warpAffine(labels, matrix, how.size, flags=cv2.INTER_NEAREST)


def _mask(results: dict, segmentation: Any) -> np.ndarray:
    """Decode the mask of a person, (height, width) of the image."""
    size = results['img'].shape[:2]
    if isinstance(segmentation, dict) and tuple(segmentation['size']) != size:
        raise ValueError(
            f'instance {results.get("id")}: its mask has height and width '
            f'{tuple(segmentation["size"])}, its image {size}'
        )
    return decode(segmentation, size)


def set_segments(dataset, segments: Mapping[str, Any]) -> int:
    """Tell every SegmentCrop of a data set, and of those that it wraps, how to divide a crop.

    Args:
        dataset: with a ``pipeline``, a ``dataset`` or ``datasets``, as MMEngine's and MMPose's.
        segments: attributes of :class:`Segmentation`.

    Returns:
        How many were told.
    """
    mine = list(find_transforms(dataset, SegmentCrop))
    for step in mine:
        step.set_segments(segments)
    return len(mine)
