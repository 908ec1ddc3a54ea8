"""Pictures of DetCon: the segments of two views, and which of them the network finds again.

Letters: n crops.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from hsjp_mm.models.pretext.base import instance_ids
from hsjp_mm.models.pretext.detcon import SegmentsModel
from hsjp_mm.visualization.pictures import to_rgb, write
from hsjp_mm.visualization.views import GAP, HEIGHT, LINE, RIGHT, WRONG

TINT = 0.55
"""Of the color that says whether a segment is found again."""


@torch.no_grad()
def draw_segments(
    model: SegmentsModel, inputs: tuple[Tensor, ...], samples: list, fixed: bool
) -> list[tuple[str, np.ndarray]]:
    """Draw the segments of some crops, a row each; the ``board`` of the models that compare them.

    In a row stand the first view and the second one, with the borders of the segments, a color for
    each number; the first view once more, in which the segments that the second one shows, too, are
    green where the nearest of all segments of all second views is the same, and else red; and the
    nearest one of its largest segment, in the view where it lies.

    Args:
        model: in evaluation mode.
        inputs: two of (n, 3, h, w), preprocessed by the model's data preprocessor.
        samples: n data samples.
        fixed: of no effect, for the data set's pipeline draws the views, as it says.

    Returns:
        One caption and picture (height, width, 3), RGB, uint8.
    """
    answers, owners = _search(model, inputs, samples)
    pictures: list[np.ndarray] = []
    hits: list[bool] = []
    chance = 0.0
    for crop, found in enumerate(answers):
        shown = [number for number in found if (crop, number) in owners]
        right = {number: found[number] == (crop, number) for number in shown}
        hits += right.values()
        chance += len(shown) / len(owners)
        largest = max(found, key=lambda number: (_segments(samples, crop, 0) == number).sum())
        pictures.append(
            _row(
                [
                    *(_outlined(*_view(model, inputs, samples, crop, view)) for view in range(2)),
                    _tinted(*_view(model, inputs, samples, crop, 0), right),
                    _outlined(
                        *_view(model, inputs, samples, found[largest][0], 1), found[largest][1]
                    ),
                ],
                f'{sum(right.values())} of {len(right)}; the largest: {_verdict(right, largest)}',
            )
        )
    lines = [
        f'segments of two views of {len(samples)} crops; then those of the first view that are',
        'found again in the second one, or not; then the nearest to the largest one',
        f'found again: {sum(hits)} of {len(hits)} (chance {chance:.1f})',
    ]
    width = max(GAP + 8 * max(map(len, lines)), pictures[0].shape[1])
    head = np.full((LINE * len(lines) + GAP, width, 3), 255, np.uint8)
    for i, line in enumerate(lines):
        write(head, line, GAP, LINE * (i + 1) - 4, scale=0.45)
    spare = [(0, 0), (0, width - pictures[0].shape[1]), (0, 0)]
    board = np.vstack([head, np.pad(np.vstack(pictures), spare, constant_values=255)])
    return [(f'instances {", ".join(map(str, instance_ids(samples)))}', board)]


def _search(
    model: SegmentsModel, inputs: tuple[Tensor, ...], samples: list
) -> tuple[list[dict[int, tuple[int, int]]], list[tuple[int, int]]]:
    """Find the nearest of all segments of the second views for those of the first ones.

    Returns:
        For each crop, by the number of its segment, crop and number of the one found; and crop and
        number of all that there are to be found.
    """
    (rows, numbers), (others, theirs) = (
        model.embed_segments(inputs[view], samples, view) for view in range(2)
    )
    owners = [(crop, number) for crop, found in enumerate(theirs) for number in found.tolist()]
    nearest = iter((rows @ others.T).argmax(dim=1).tolist())
    return [
        {number: owners[next(nearest)] for number in found.tolist()} for found in numbers
    ], owners


def _segments(samples: list, crop: int, view: int) -> np.ndarray:
    return samples[crop].gt_fields.view_segments[view].cpu().numpy()


def _view(
    model: SegmentsModel, inputs: tuple[Tensor, ...], samples: list, crop: int, view: int
) -> tuple[np.ndarray, np.ndarray]:
    """A view (h, w, 3), RGB, and its segments (h, w)."""
    return to_rgb(model, inputs[view][crop]), _segments(samples, crop, view)


def _verdict(right: dict[int, bool], number: int) -> str:
    if number not in right:
        return 'not in the second view'
    return 'found' if right[number] else 'mistaken'


def _colors(segments: np.ndarray) -> np.ndarray:
    """Give each segment (h, w) a color by its number, (h, w, 3); of two in turn far apart."""
    hue = (segments.astype(int) * 97 % 180).astype(np.uint8)  # half the circle further
    full = np.full_like(hue, 255)
    return cv2.cvtColor(np.dstack([hue, full, full]), cv2.COLOR_HSV2RGB)


def _outlined(view: np.ndarray, segments: np.ndarray, only: int | None = None) -> np.ndarray:
    """Draw the inner borders of the segments (h, w) on a view (h, w, 3), or of one ``only``."""
    size = (round(view.shape[1] * HEIGHT / view.shape[0]), HEIGHT)
    tile = cv2.resize(view, size, interpolation=cv2.INTER_AREA)
    large = cv2.resize(segments.astype(np.int16), size, interpolation=cv2.INTER_NEAREST)
    kernel = np.ones((3, 3), np.uint8)
    border = cv2.erode(large, kernel) != cv2.dilate(large, kernel)
    if only is not None:
        border &= large == only
    tile[border] = _colors(large)[border]
    return tile


def _tinted(view: np.ndarray, segments: np.ndarray, right: dict[int, bool]) -> np.ndarray:
    """Tint the segments (h, w) of a view (h, w, 3) that are found again, and that are not."""
    tinted = view.copy()
    for number, found in right.items():
        inside = segments == number
        color = np.array(RIGHT if found else WRONG)
        tinted[inside] = (1 - TINT) * view[inside] + TINT * color
    return _outlined(tinted, segments)


def _row(tiles: list[np.ndarray], text: str) -> np.ndarray:
    """Lay tiles of one size next to each other, with a text below."""
    spaced = [np.pad(tile, [(0, 0), (GAP, 0), (0, 0)], constant_values=255) for tile in tiles]
    row = np.pad(np.hstack(spaced), [(0, LINE + GAP), (0, GAP), (0, 0)], constant_values=255)
    write(row, text, GAP, row.shape[0] - GAP - 6, scale=0.4)
    return row
