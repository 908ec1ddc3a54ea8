"""How far around a box the crops of a pipeline can reach, whatever its transforms draw.

Lengths are pixels of the image, sizes (width, height). The bounds are exact for the stock crops and
views, where a rotation and the largest scale come together, and never too small.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmpose.datasets.transforms import (
    GetBBoxCenterScale,
    KeypointConverter,
    LoadImage,
    RandomBBoxTransform,
    RandomFlip,
    TopdownAffine,
)

from hsjp_mm.datasets.transforms import (
    DropOccluded,
    InputAffine,
    LoadScaledImage,
    MakeViews,
    MeshAffine,
    RandomMeshAffine,
    SegmentCrop,
    TopdownDenseAffine,
    TopdownShearAffine,
)
from hsjp_mm.datasets.transforms.topdown import EncodedAffine


class UnknownReachError(ValueError):
    """A pipeline has a transform before its crop of which the reach is not known."""


@dataclass(frozen=True)
class Cut:
    """A crop that a pipeline cuts: a box, enlarged to the crop's shape, scaled, turned and moved.

    Attributes:
        size: of the crop.
        padding: factor of the box's sides.
        scale: range of the factor of the padded box's sides.
        box_shift: the center moves by at most this share of the padded box.
        crop_shift: and by at most this share of the crop.
        rotate: at most so many degrees either way.
        shear: greatest shear factor along the crop's x.
    """

    size: tuple[int, int]
    padding: float = 1.0
    scale: tuple[float, float] = (1.0, 1.0)
    box_shift: float = 0.0
    crop_shift: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0

    def extents(self, boxes: np.ndarray) -> np.ndarray:
        """How far from the center of its box a crop reaches at most, along x and y.

        Args:
            boxes: (N, 2), their width and height.

        Returns:
            (N, 2).
        """
        padded = boxes * self.padding
        crop = _fill(padded, self.size)
        width, height = self.scale[1] * crop[:, 0], self.scale[1] * crop[:, 1]
        width = width + self.shear * height
        turned = _turned(width, height, math.radians(self.rotate))
        return turned / 2 + self.box_shift * padded + self.crop_shift * crop

    def magnifications(self, boxes: np.ndarray) -> np.ndarray:
        """How many pixels of the crop a pixel of the image becomes at most, along a side, (N,)."""
        sheared = np.linalg.norm(np.array([[1, self.shear], [0, 1]]), 2)
        return (
            sheared * self.size[0] / (self.scale[0] * _fill(boxes * self.padding, self.size))[:, 0]
        )


def _fill(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge boxes (N, 2) to the shape of a crop, as TopdownAffine does."""
    ratio = size[0] / size[1]
    width, height = boxes[:, 0], boxes[:, 1]
    return np.stack([np.maximum(width, height * ratio), np.maximum(height, width / ratio)], axis=1)


def _turned(width: np.ndarray, height: np.ndarray, most: float) -> np.ndarray:
    """The largest width and height of upright boxes around rectangles turned by up to an angle."""

    def side(along: np.ndarray, across: np.ndarray) -> np.ndarray:
        angle = np.minimum(np.arctan2(across, along), most)  # the worst one, if it is allowed
        return along * np.cos(angle) + across * np.sin(angle)

    return np.stack([side(width, height), side(height, width)], axis=1)


@dataclass(frozen=True)
class Reach:
    """What the crops of a pipeline can show of the images.

    Attributes:
        cuts: the crops.
    """

    cuts: tuple[Cut, ...]

    def extents(self, boxes: np.ndarray) -> np.ndarray:
        """See :meth:`Cut.extents`; the largest of all crops."""
        return np.max([cut.extents(boxes) for cut in self.cuts], axis=0)

    def magnifications(self, boxes: np.ndarray) -> np.ndarray:
        """See :meth:`Cut.magnifications`; the largest of all crops."""
        return np.max([cut.magnifications(boxes) for cut in self.cuts], axis=0)


def find_reach(steps: Sequence[Any]) -> Reach:
    """Find how far the crops of a pipeline reach.

    Args:
        steps: the transforms, told what stands on the model.

    Raises:
        UnknownReachError: a transform before the crop has a reach that is not known, or there is
            no crop.
    """
    drawn = _Drawn()
    for step in steps:
        kind = type(step)
        if kind in MOVES:
            MOVES[kind](drawn, step)
        elif kind in CUTS:
            drawn.cuts += CUTS[kind](drawn, step)
            if kind is not SegmentCrop:
                return Reach(tuple(drawn.cuts))
        elif kind not in NEUTRAL:
            raise UnknownReachError(
                f'{kind.__name__} in the pipeline stands before the crop is cut, and how far it '
                'reaches is not known; say by margin how much is to be stored'
            )
    names = ', '.join(type(step).__name__ for step in steps) or 'empty'
    raise UnknownReachError(
        f'the pipeline ({names}) cuts no crop of which the reach is known; say by margin how much '
        'is to be stored'
    )


@dataclass
class _Drawn:
    """What the transforms before the crop do to the box, at most."""

    cut: Cut = Cut((1, 1))
    cuts: list[Cut] = field(default_factory=list)


def _pad(drawn: _Drawn, step: GetBBoxCenterScale) -> None:
    drawn.cut = replace(drawn.cut, padding=drawn.cut.padding * step.padding)


def _jitter(drawn: _Drawn, step: RandomBBoxTransform) -> None:
    low, high = step.scale_factor
    if step.scale_prob < 1:
        low, high = min(low, 1.0), max(high, 1.0)
    if step.scale_prob <= 0:
        low, high = 1.0, 1.0
    cut = drawn.cut
    shift = step.shift_factor * cut.scale[1] if step.shift_prob > 0 else 0.0
    drawn.cut = replace(
        cut,
        box_shift=cut.box_shift + shift,
        scale=(cut.scale[0] * low, cut.scale[1] * high),
        rotate=float(step.rotate_factor) if step.rotate_prob > 0 else 0.0,
    )


def _affine(drawn: _Drawn, step: TopdownAffine) -> list[Cut]:
    width, height = step.input_size
    return [replace(drawn.cut, size=(int(width), int(height)), shear=getattr(step, 'shear', 0.0))]


def _segments(drawn: _Drawn, step: SegmentCrop) -> list[Cut]:
    if step.how is None or step.how.method != 'felzenszwalb':  # the others look at no pixel
        return []
    return [replace(drawn.cut, size=step.how.size, rotate=0.0)]


def _views(drawn: _Drawn, step: MakeViews) -> list[Cut]:
    return [_view(drawn.cut, view) for view, _ in step.views]


def _view(cut: Cut, view: Any) -> Cut:
    if view.side is not None:
        low, high = view.side
        shift = view.shift
    else:
        low = math.sqrt(view.area[0] * min(view.ratio[0], 1 / view.ratio[1]))
        high, shift = 1.0, 0.0  # the window lies in the crop
    low, high = cut.scale[0] * low, cut.scale[1] * high
    return replace(
        cut,
        size=view.size,
        scale=(low, high),
        rotate=view.rotate,
        crop_shift=cut.scale[1] * shift,
    )


def _mesh(drawn: _Drawn, step: MeshAffine) -> list[Cut]:
    cut = replace(drawn.cut, size=step.input_size, rotate=0.0)
    if not isinstance(step, RandomMeshAffine):
        return [cut]
    high = cut.scale[1] * (1 + step.scale_sigma)
    rotate = 2 * step.rotate_sigma if step.rotate_prob > 0 else 0.0
    # the crop moves along its own sides, by a share of the longer one
    shift = step.shift_factor * max(cut.size) / min(cut.size)
    grown = high * (1 + 2 * shift)
    return [replace(cut, scale=(cut.scale[0] * (1 - step.scale_sigma), grown), rotate=rotate)]


NEUTRAL = (
    LoadImageFromFile, LoadImage, LoadScaledImage, RandomFlip, DropOccluded, KeypointConverter,
)  # fmt: skip
"""Transforms that leave box and image where they are, or mirror both."""
MOVES: dict[type, Callable[[_Drawn, Any], None]] = {
    GetBBoxCenterScale: _pad,
    RandomBBoxTransform: _jitter,
}
CUTS: dict[type, Callable[[_Drawn, Any], list[Cut]]] = {
    TopdownAffine: _affine,
    EncodedAffine: _affine,
    InputAffine: _affine,
    TopdownDenseAffine: _affine,
    TopdownShearAffine: _affine,
    SegmentCrop: _segments,
    MakeViews: _views,
    MeshAffine: _mesh,
    RandomMeshAffine: _mesh,
}
"""By exact class, for a subclass may reach farther."""
