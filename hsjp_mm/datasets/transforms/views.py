"""Views of a crop: each cut out of the image by one affine, and with colors of its own.

Letters: V views, K keypoints, H and W height and width of the image, h and w of a view. Images are
BGR, uint8, as MMCV loads them. Points are (x, y) in pixels of the image they are in, sizes (width,
height). A *matrix* (2, 3) takes a point of the image to the view.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmpose.datasets.transforms import PackPoseInputs, TopdownAffine
from mmpose.datasets.transforms.formatting import image_to_tensor

from hsjp_mm.datasets.encoded_images import warp_image
from hsjp_mm.datasets.transforms.color import Random
from hsjp_mm.datasets.transforms.pipelines import find_transforms
from hsjp_mm.ops.seeds import instance_random_state
from hsjp_mm.ops.visibility import visibility
from hsjp_mm.registry import TRANSFORMS

OUTSIDE = -1
"""The segment of a view's pixels that lie outside of the segmented part of the image."""

RATIO = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class View:
    """How a view of a crop is made; the keys of a recipe.

    The *crop* is the padded box, enlarged to the shape of the view, as the stock TopdownAffine
    enlarges it. A view shows a window of it. Give ``area`` or ``side``.

    Attributes:
        size: (width, height) of the view in pixels.
        num: how many views are made so.
        area: range of the window's share of the crop's area; the window lies in the crop, at
            random, by the rule of torchvision's RandomResizedCrop.
        ratio: range of the window's width to its height, as a factor of the crop's, drawn
            uniformly in the logarithm; for ``area``.
        side: range of the window's side, as a factor of the crop's; the window is centered and may
            reach beyond the crop.
        shift: the window is moved by ± this share of the crop's side along x and along y; for
            ``side``.
        rotate: the content is turned by ± this many degrees.
        flip_prob: probability of a horizontal flip.
        colors: a transform with a method ``augment(image, rng)``, by default
            ``hsjp_mm.ColorAugmentation``, and its arguments; None changes no color.

    Raises:
        ValueError: a value outside its range.
    """

    size: tuple[int, int]
    num: int = 1
    area: tuple[float, float] | None = None
    ratio: tuple[float, float] = RATIO
    side: tuple[float, float] | None = None
    shift: float = 0.0
    rotate: float = 0.0
    flip_prob: float = 0.0
    colors: Mapping[str, Any] | None = None

    def __post_init__(self):
        if not isinstance(self.size, Sequence) or len(self.size) != 2:
            raise ValueError(f'size={self.size} must be (width, height) in pixels')
        if self.num < 1 or min(self.size) < 1:
            raise ValueError(f'num={self.num} and size={self.size} must be at least 1')
        if (self.area is None) == (self.side is None):
            raise ValueError(f'give area={self.area} or side={self.side}, one of them')
        if self.area is not None and self.shift:
            raise ValueError(
                f'shift={self.shift} is for side: a window of area={self.area} lies at random'
            )
        if self.side is not None and self.ratio != RATIO:
            raise ValueError(
                f'ratio={self.ratio} is for area: a window of side={self.side} has the shape of '
                'the crop'
            )
        if self.area is not None and not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f'area={self.area} must be a range in (0, 1]')
        for name in ('ratio', 'side'):
            span = getattr(self, name)
            if span is not None and not 0 < span[0] <= span[1]:
                raise ValueError(f'{name}={span} must be a range of positive numbers')
        if self.shift < 0 or self.rotate < 0:
            raise ValueError(f'shift={self.shift} and rotate={self.rotate} must be at least 0')
        if not 0 <= self.flip_prob <= 1:
            raise ValueError(f'flip_prob={self.flip_prob} must be in [0, 1]')


@TRANSFORMS.register_module()
class MakeViews(BaseTransform):
    """Make views of a crop, and move keypoints and segments with each of them.

    What the views are is the model's: ``hsjp_mm.PrepareDataHook`` tells it through
    :func:`set_views`. A view is interpolated once, from the image itself.

    Required keys: ``img`` (H, W, 3); ``bbox_center`` (1, 2) and ``bbox_scale`` (1, 2), as
    GetBBoxCenterScale gives them; ``id`` with a seed. Optional keys: ``keypoints`` (1, K, 2) and
    ``keypoints_visible`` (1, K) or (1, K, 2), with ``flip_indices`` if a view may be flipped;
    ``segments`` (h', w'), whole numbers from 0, and ``segments_matrix``, which takes a point of the
    image to them.

    Modified key: ``img``, a list of V views. Added keys: ``view_matrices`` (V, 2, 3); with
    keypoints ``view_keypoints`` (V, K, 2) in pixels of the view and ``view_keypoints_visible``
    (V, K), which is 0 outside of the view; with segments ``view_segments``, V of (h, w), nearest
    pixels, :data:`OUTSIDE` where there is none. ``hsjp_mm.PackViews`` packs them.

    Args:
        views: for pipelines without a model that tells it: dictionaries of :class:`View`.
        seed: None in training. With a number, in evaluation, (seed, ``id``) alone decide what
            views an instance gets, whatever worker, batch or order it comes in.

    Raises:
        ValueError: a view with an argument outside its range; with a seed, a sample without
            ``id``; keypoints to be flipped without ``flip_indices``.
        RuntimeError: the views have not been told.

    Examples:
        For training and for evaluation:

        >>> crop = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
        >>> train = [*crop, dict(type='hsjp_mm.MakeViews'), dict(type='hsjp_mm.PackViews')]
        >>> val = [*crop, dict(type='hsjp_mm.MakeViews', seed=0), dict(type='hsjp_mm.PackViews')]
    """

    def __init__(self, views: Sequence[Mapping] | None = None, seed: int | None = None):
        self.stated = views is not None
        self.views: list[tuple[View, Any]] = []
        if views is not None:
            self._take(views)
        self.seed = seed

    def _take(self, views: Sequence[Mapping]) -> None:
        self.views = [(view, _build_colors(view)) for view in expand(views)]

    def set_views(self, views: Sequence[Mapping]) -> None:
        """Take the views of the model.

        Raises:
            ValueError: the pipeline states views of its own.
        """
        if self.stated:
            raise ValueError(
                "MakeViews in the pipeline states views, but they are the model's: give them as "
                'model.views alone'
            )
        self._take(views)

    def transform(self, results: dict) -> dict:
        """Turn ``results['img']`` into a list of views."""
        if not self.views:
            raise RuntimeError(
                "MakeViews has not been told what views to make, which is the model's: add "
                "dict(type='hsjp_mm.PrepareDataHook') to custom_hooks, or without a runner call "
                'model.prepare(dataset)'
            )
        rng = self._random(results)
        image = results['img']
        made = []
        for view, colors in self.views:
            flip, matrix = draw_matrix(
                view, results['bbox_center'][0], results['bbox_scale'][0], rng
            )
            moved = {'img': warp_image(image, matrix, view.size)}
            if colors is not None:
                moved['img'] = colors.augment(moved['img'], rng)
            moved |= _move_keypoints(results, matrix, flip, view.size)
            moved |= _move_segments(results, matrix, view.size)
            made.append({'view_matrices': matrix, **moved})
        merged = {key: [one[key] for one in made] for key in made[0]}
        for key in ('view_matrices', 'view_keypoints', 'view_keypoints_visible'):
            if key in merged:
                merged[key] = np.stack(merged[key])
        return {**results, **merged, 'img_shape': merged['img'][0].shape[:2]}

    def _random(self, results: dict) -> Random:
        if self.seed is None:
            return np.random
        if 'id' not in results:
            raise ValueError(
                f"seed={self.seed} needs each sample's 'id', which PersonCropDataset and the data "
                f'sets of MMPose give; this sample has {", ".join(results)}'
            )
        return instance_random_state(self.seed, results['id'])


@TRANSFORMS.register_module()
class PackViews(PackPoseInputs):
    """The stock PackPoseInputs for views, which may be of several sizes; stock would stack them.

    ``inputs`` becomes a list of V tensors, as ``hsjp_mm.ViewsDataPreprocessor`` takes them.
    ``gt_instances`` gets ``bbox_centers``
    (1, 2), ``view_matrices`` (1, V, 2, 3) and, with keypoints, ``view_keypoints``
    (1, V, K, 2) and ``view_keypoints_visible`` (1, V, K). ``gt_fields`` gets ``view_segments``
    (V, h, w) where there are segments, for views of one size.

    Args:
        meta_keys: which keys of the sample go on to its meta information.
        pack_transformed: of no use here; accepted as stock does.

    Raises:
        ValueError: segments of views of several sizes.

    Examples:
        >>> pipeline = [dict(type='hsjp_mm.MakeViews'), dict(type='hsjp_mm.PackViews')]
    """

    def transform(self, results: dict) -> dict:
        """Pack ``results['img']``, a list of views (h, w, 3), and what belongs to them."""
        packed = super().transform({**results, 'img': results['img'][0]})
        packed['inputs'] = [image_to_tensor(image) for image in results['img']]
        sample = packed['data_samples']
        centers = torch.from_numpy(np.asarray(results['bbox_center'], np.float32))
        sample.gt_instances.set_field(centers, 'bbox_centers')
        for key in ('view_matrices', 'view_keypoints', 'view_keypoints_visible'):
            if key in results:
                value = torch.from_numpy(np.asarray(results[key], np.float32))
                sample.gt_instances.set_field(value[None], key)
        if 'view_segments' in results:
            segments = results['view_segments']
            sizes = {one.shape for one in segments}
            if len(sizes) > 1:
                raise ValueError(f'segments need views of one size, these have {sorted(sizes)}')
            fields = sample.gt_fields if 'gt_fields' in sample else PixelData()
            fields.view_segments = torch.from_numpy(np.stack(segments)).long()
            sample.gt_fields = fields
        return packed


def set_views(dataset, views: Sequence[Mapping]) -> int:
    """Tell every MakeViews of a data set, and of those that it wraps, what views to make.

    Args:
        dataset: with a ``pipeline``, a ``dataset`` or ``datasets``, as MMEngine's and MMPose's.
        views: dictionaries of :class:`View`.

    Returns:
        How many were told.
    """
    mine = list(find_transforms(dataset, MakeViews))
    for step in mine:
        step.set_views(views)
    return len(mine)


def expand(views: Sequence[Mapping]) -> list[View]:
    """Read a recipe: one :class:`View` for each view that it makes.

    Raises:
        ValueError: no view; an unknown key, or a value outside its range.
    """
    if not views:
        raise ValueError(f'views={views!r} must name one view at least')
    known = View.__dataclass_fields__
    unknown = sorted({key for view in views for key in view if key not in known})
    if unknown:
        raise ValueError(f'views: unknown {", ".join(unknown)}; known are {", ".join(known)}')
    made = []
    for keys in views:
        size = keys['size']
        view = View(**{**keys, 'size': tuple(size) if isinstance(size, Sequence) else size})
        made += [view] * view.num
    return made


def _build_colors(view: View):
    if view.colors is None:
        return None
    return TRANSFORMS.build({'type': 'hsjp_mm.ColorAugmentation', **view.colors})


def draw_matrix(
    view: View, center: np.ndarray, box: np.ndarray, rng: Random
) -> tuple[bool, np.ndarray]:
    """Draw the window of a view; whether it is flipped, and the matrix (2, 3).

    Args:
        view: what to draw.
        center: (2,) of the box, in pixels of the image.
        box: (2,) its width and height with the padding.
        rng: the random numbers.
    """
    width, height = view.size
    crop = TopdownAffine._fix_aspect_ratio(np.asarray(box, float)[None], width / height)[0]
    offset, share = _draw_window(view, rng)
    angle = math.radians(rng.uniform(-view.rotate, view.rotate)) if view.rotate else 0.0
    flip = bool(view.flip_prob and rng.rand() < view.flip_prob)
    factors = np.array([width, height]) / (share * crop)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turn * factors  # scaled along the axes of the image, then turned
    middle = np.array([width, height]) / 2
    matrix = np.column_stack([linear, middle - linear @ (center + offset * crop)])
    if flip:
        matrix[0] *= -1
        matrix[0, 2] += width - 1
    return flip, matrix


def _draw_window(view: View, rng: Random) -> tuple[np.ndarray, np.ndarray]:
    """Draw a window: how far from the crop's center it lies, and its sides; shares of the crop."""
    if view.side is not None:
        factor = rng.uniform(*view.side)
        return rng.uniform(-view.shift, view.shift, 2), np.array([factor, factor])
    assert view.area is not None
    low, high = view.ratio
    for _ in range(10):
        area = rng.uniform(*view.area)
        ratio = math.exp(rng.uniform(math.log(low), math.log(high)))
        share = np.sqrt([area * ratio, area / ratio])
        if share.max() <= 1:
            return (rng.uniform(0, 1, 2) - 0.5) * (1 - share), share
    # torchvision's way out: the largest window of an allowed ratio, in the middle
    return np.zeros(2), np.array([min(1.0, high), min(1.0, 1 / low)])


def _move_keypoints(results: dict, matrix: np.ndarray, flip: bool, size: tuple[int, int]) -> dict:
    if results.get('keypoints') is None:
        return {}
    points = cv2.transform(results['keypoints'][..., :2].astype(float), matrix)[0]
    visible = visibility(results['keypoints_visible'])[0].astype(np.float32)
    inside = ((points >= -0.5) & (points < np.array(size) - 0.5)).all(axis=1)
    visible = visible * inside
    if flip:
        if 'flip_indices' not in results:
            raise ValueError(
                "a view with keypoints is flipped, but the sample has no 'flip_indices'; the "
                'metainfo of the data set names swap for each keypoint, or set flip_prob=0'
            )
        order = list(results['flip_indices'])
        points, visible = points[order], visible[order]
    return {
        'view_keypoints': points.astype(np.float32),
        'view_keypoints_visible': visible.astype(np.float32),
    }


def _move_segments(results: dict, matrix: np.ndarray, size: tuple[int, int]) -> dict:
    if results.get('segments') is None:
        return {}
    from_segments = np.linalg.inv(np.vstack([results['segments_matrix'], [0, 0, 1]]))
    direct: np.ndarray = (np.vstack([matrix, [0, 0, 1]]) @ from_segments)[:2]
    moved = cv2.warpAffine(
        results['segments'].astype(np.int16),
        direct,
        size,
        flags=cv2.INTER_NEAREST,
        borderValue=(OUTSIDE,),
    )
    return {'view_segments': moved}
