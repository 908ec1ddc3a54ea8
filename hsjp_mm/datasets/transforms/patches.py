"""JigClu's patches of a crop, each augmented on its own.

Letters: H and W height and width of the image, m patches along a side, h and w height and width
of a patch. Images are BGR, uint8, as MMCV loads them. Boxes are (left, top, right, bottom).
"""

import math
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from hsjp_mm.datasets.transforms.color import ColorAugmentation, Random
from hsjp_mm.datasets.transforms.pipelines import find_transforms
from hsjp_mm.ops import patches
from hsjp_mm.ops.seeds import instance_random_state
from hsjp_mm.registry import TRANSFORMS
from hsjp_mm.utils.moved import old_arguments, with_new_names

Box = tuple[int, int, int, int]

# In PatchAugmentation, where a patch has 112 pixels, this blur is MoCo v2's 0.1 to 2 pixels.
MOCO_V2_COLORS = dict(
    brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, jitter_prob=0.8, gray_prob=0.2,
    blur_prob=0.5, blur_sigma=(0.2, 4.0), solarize_prob=0.0,
)  # fmt: skip
OVERLAP = 0.3  # the paper's
POSITIONS = ('after_split', 'crop_before_split', 'before_split')


@TRANSFORMS.register_module()
class PatchAugmentation(BaseTransform):
    """Cut an image into overlapping patches and augment each on its own.

    The split and the augmentation of `Jigsaw Clustering for Unsupervised Visual Representation
    Learning <https://arxiv.org/abs/2104.00323>`_ (sections 3.1 and 5). A patch gets the recipe of
    `MoCo v2 <https://arxiv.org/abs/2003.04297>`_: RandomResizedCrop, color jitter, grayscale,
    blur, flip. The crop's rule is torchvision's, written anew because torchvision's takes its
    random numbers from torch alone.

    The number of patches, their size, overlap and position are the model's:
    ``hsjp_mm.PrepareDataHook`` tells them through :func:`set_patches`.

    Required key: ``img`` (H, W, 3) of any size; ``id`` with a seed. Modified keys: ``img``, the
    patches in one column (m²·h, w, 3), patch i = row·m + column in the rows from i·h, so that the
    stock PackPoseInputs and PoseDataPreprocessor take them as one image; ``img_shape``.

    Args:
        overlap, position: as in :class:`~hsjp_mm.models.JigClu`, for pipelines that state them
            here, as in version 0.1. By default the model's.
        scale: range of the crop's share of the area.
        ratio: range of its width to its height, drawn uniformly in the logarithm.
        flip_prob: probability of a horizontal flip.
        colors: arguments of :class:`ColorAugmentation` that differ from MoCo v2's. Its
            ``blur_sigma`` is in pixels of a 224-pixel side and in proportion for other sizes: the
            (0.2, 4) here is 0.1 to 2 pixels in a patch of 112, as in the authors' code.
        seed: None in training. With a number, in evaluation, (seed, ``id``) alone decide what
            an instance becomes, whatever worker, batch or order it comes in.

    Raises:
        ValueError: an argument outside its range; with a seed, a sample without ``id``.
        RuntimeError: the number of patches has not been told.

    Examples:
        For training and for evaluation:

        >>> train = dict(type='hsjp_mm.PatchAugmentation')
        >>> val = dict(type='hsjp_mm.PatchAugmentation', seed=0)
    """

    @old_arguments(colours='colors')
    def __init__(
        self,
        overlap: float | None = None,
        position: str | None = None,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip_prob: float = 0.5,
        colors: dict | None = None,
        seed: int | None = None,
    ):
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f'scale={scale} must be a range in (0, 1]')
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f'ratio={ratio} must be a range of positive numbers')
        if not 0 <= flip_prob <= 1:
            raise ValueError(f'flip_prob={flip_prob} must be in [0, 1]')
        # what the pipeline states, and what holds once the model has told its own
        self.stated: dict[str, Any] = {'overlap': overlap, 'position': position}
        self._take(**self.stated)
        self.scale = scale
        self.ratio = ratio
        self.flip_prob = flip_prob
        colors = with_new_names(colors or {}, {'solarise_prob': 'solarize_prob'})
        self.colors = ColorAugmentation(**{**MOCO_V2_COLORS, **colors})
        self.seed = seed
        self.grid: int | None = None
        self.patch_size: tuple[int, int] | None = None

    def _take(self, overlap: float | None, position: str | None) -> None:
        self.overlap = OVERLAP if overlap is None else overlap
        self.position = POSITIONS[0] if position is None else position
        patches.patch_boxes(1, self.overlap)  # refuses a wrong overlap now rather than with m
        if self.position not in POSITIONS:
            raise ValueError(f'position={position!r} must be one of {", ".join(POSITIONS)}')

    def set_patches(
        self,
        grid: int,
        size: tuple[int, int],
        overlap: float | None = None,
        position: str | None = None,
    ) -> None:
        """Take what the model says of its patches.

        Args:
            grid: m.
            size: (width, height) of a patch in pixels.
            overlap, position: of the model, or None for what the pipeline states.

        Raises:
            ValueError: a number below 1; an overlap or a position outside its range, or another
                one than the pipeline states.
        """
        if grid < 1 or min(size) < 1:
            raise ValueError(f'grid={grid} and size={size} must be at least 1')
        told: dict[str, Any] = {'overlap': overlap, 'position': position}
        for name, value in told.items():
            stated = self.stated[name]
            if None not in (value, stated) and value != stated:
                raise ValueError(
                    f'model.{name}={value!r}, but PatchAugmentation in the pipeline states '
                    f'{name}={stated!r}; give it to the model alone'
                )
        self._take(**{k: self.stated[k] if v is None else v for k, v in told.items()})
        self.grid = grid
        self.patch_size = (size[0], size[1])

    def transform(self, results: dict) -> dict:
        """Turn ``results['img']`` into a column of patches."""
        if self.grid is None or self.patch_size is None:
            raise RuntimeError(
                'PatchAugmentation has not been told the number and size of the patches, which '
                "are the model's: add dict(type='hsjp_mm.PrepareDataHook') to custom_hooks, or "
                'without a runner call model.prepare(dataset)'
            )
        boxes = patches.patch_boxes(self.grid, self.overlap)
        made = self._patches(results['img'], boxes, self.patch_size, self._random(results))
        results['img'] = np.concatenate(made)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _random(self, results: dict) -> Random:
        if self.seed is None:
            return np.random
        if 'id' not in results:
            raise ValueError(
                f"seed={self.seed} needs each sample's 'id', which PersonCropDataset gives; this "
                f'sample has {", ".join(results)}'
            )
        return instance_random_state(self.seed, results['id'])

    def _patches(
        self, image: np.ndarray, boxes: list, size: tuple[int, int], rng: Random
    ) -> list[np.ndarray]:
        whole = (0, 0, image.shape[1], image.shape[0])
        if self.position == 'after_split':
            crops = (self._draw_crop(_part(whole, box), rng) for box in boxes)
            return [self._augment(image, crop, size, rng) for crop in crops]
        crop = self._draw_crop(whole, rng)
        if self.position == 'crop_before_split':
            return [self._augment(image, _part(crop, box), size, rng) for box in boxes]
        share = boxes[0][2]  # of the side, that a patch has
        canvas = (round(size[0] / share), round(size[1] / share))
        image = self._augment(image, crop, canvas, rng)
        return [_resized(image, _part((0, 0, *canvas), box), size) for box in boxes]

    def _augment(
        self, image: np.ndarray, box: Box, size: tuple[int, int], rng: Random
    ) -> np.ndarray:
        """Resize what lies in the box, flip it and change its colors."""
        patch = _resized(image, box, size)
        if rng.rand() < self.flip_prob:
            patch = cv2.flip(patch, 1)
        return self.colors.augment(patch, rng)

    def _draw_crop(self, box: Box, rng: Random) -> Box:
        """Draw a box in the box: ten tries at area and ratio, then the middle, as torchvision."""
        left, top, right, bottom = box
        width, height = right - left, bottom - top
        low, high = self.ratio
        for _ in range(10):
            area = width * height * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(low), math.log(high)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                x = left + rng.randint(width - w + 1)
                y = top + rng.randint(height - h + 1)
                return x, y, x + w, y + h
        w = max(1, min(width, round(height * high)))
        h = max(1, min(height, round(width / low)))
        x, y = left + (width - w) // 2, top + (height - h) // 2
        return x, y, x + w, y + h


def _part(box: Box, share: tuple[float, float, float, float]) -> Box:
    """Find the pixels of a part of the box, given in shares of it; one at least, if it is thin."""
    left, right = _span(box[0], box[2], share[0], share[2])
    top, bottom = _span(box[1], box[3], share[1], share[3])
    return left, top, right, bottom


def _span(start: int, stop: int, low: float, high: float) -> tuple[int, int]:
    length = stop - start
    first = min(round(low * length), length - 1)
    return start + first, start + max(round(high * length), first + 1)


def _resized(image: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    left, top, right, bottom = box
    # Where pixels become fewer, INTER_LINEAR reads four of them and leaves the rest out, which
    # aliases; INTER_AREA takes the mean of all. Where they become more it would make blocks.
    shrinks = right - left >= size[0] and bottom - top >= size[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image[top:bottom, left:right], size, interpolation=interpolation)


def set_patches(dataset, grid: int, size: tuple[int, int], **options) -> int:
    """Tell every PatchAugmentation of a data set, and of those that it wraps, about its patches.

    Args:
        dataset: with a ``pipeline``, a ``dataset`` or ``datasets``, as MMEngine's and MMPose's.
        grid: m.
        size: (width, height) of a patch in pixels.
        options: ``overlap`` and ``position`` of the model, where it has any.

    Returns:
        How many were told.

    Raises:
        ValueError: as in :meth:`PatchAugmentation.set_patches`.
    """
    mine = list(find_transforms(dataset, PatchAugmentation))
    for step in mine:
        step.set_patches(grid, size, **options)
    return len(mine)
