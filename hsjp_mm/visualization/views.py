"""Pictures of views: those of each crop, and the nearest neighbor that the network finds.

Letters: n crops, V views.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from hsjp_mm.models.pretext.base import instance_ids
from hsjp_mm.models.pretext.views import ViewsModel
from hsjp_mm.visualization.pictures import to_rgb, write

RIGHT = (0, 130, 50)
WRONG = (190, 40, 40)
HEIGHT = 128
"""Of a view on the board in pixels; smaller views keep their proportion."""
FRAME = 4
GAP = 8
LINE = 20


@torch.no_grad()
def draw_views(
    model: ViewsModel, inputs: tuple[Tensor, ...], samples: list, fixed: bool
) -> list[tuple[str, np.ndarray]]:
    """Draw the views of some crops, a row each; the ``board`` of the models that compare views.

    At the end of a row stands the view that lies nearest to the crop's first one among all others
    of the board's first and second views, in a green frame if it is of the same crop, with the
    cosine.

    Args:
        model: in evaluation mode.
        inputs: V of (n, 3, h, w), preprocessed by the model's data preprocessor.
        samples: n data samples.
        fixed: of no effect, for the data set's pipeline draws the views, as it says.

    Returns:
        One caption and picture (height, width, 3), RGB, uint8.
    """
    embedded = torch.cat([model.embed(inputs[view], samples, view) for view in range(2)])
    cosines = (embedded @ embedded.T).fill_diagonal_(-torch.inf)[: len(samples)]
    nearest = cosines.argmax(dim=1).tolist()
    right = [found % len(samples) == row for row, found in enumerate(nearest)]
    tiles = [[_tile(model, view[row], inputs[0]) for view in inputs] for row in range(len(samples))]
    rows = []
    for row, found in enumerate(nearest):
        view, crop = divmod(found, len(samples))
        color = RIGHT if right[row] else WRONG
        answer = cv2.copyMakeBorder(
            tiles[crop][view], FRAME, FRAME, FRAME, FRAME, cv2.BORDER_CONSTANT, value=color
        )
        text = f'{"same crop" if right[row] else "another"} {cosines[row, found]:.2f}'
        rows.append(_row([*tiles[row], answer], text, color))
    chance = 1 / (2 * len(samples) - 1)
    lines = [
        f'views of {len(samples)} crops; at the end of a row the view nearest to its first one',
        f'of the same crop: {sum(right)} of {len(samples)} (chance {chance * len(samples):.1f})',
    ]
    width = max(GAP + 8 * max(map(len, lines)), *(row.shape[1] for row in rows))
    head = np.full((LINE * len(lines) + GAP, width, 3), 255, np.uint8)
    for i, line in enumerate(lines):
        write(head, line, GAP, LINE * (i + 1) - 4, scale=0.45)
    board = np.vstack([head, *(_widened(row, width) for row in rows)])
    return [(f'instances {", ".join(map(str, instance_ids(samples)))}', board)]


def _tile(model: ViewsModel, view: Tensor, first: Tensor) -> np.ndarray:
    """Draw a view (3, h, w), at the scale that brings the first place's views to HEIGHT."""
    scale = HEIGHT / first.shape[-2]
    size = (round(view.shape[-1] * scale), round(view.shape[-2] * scale))
    return cv2.resize(to_rgb(model, view), size, interpolation=cv2.INTER_AREA)


def _row(tiles: list[np.ndarray], text: str, color: tuple[int, int, int]) -> np.ndarray:
    """Lay tiles next to each other, the last one apart from the others with a text below."""
    height = max(tile.shape[0] for tile in tiles) + LINE + GAP
    spaces = [GAP] * (len(tiles) - 1) + [3 * GAP]
    width = sum(tile.shape[1] for tile in tiles) + sum(spaces) + GAP
    row = np.full((height, max(width, sum(spaces) + 8 * len(text)), 3), 255, np.uint8)
    left = 0
    for tile, space in zip(tiles, spaces, strict=True):
        left += space
        row[: tile.shape[0], left : left + tile.shape[1]] = tile
        last, left = left, left + tile.shape[1]
    write(row, text, last, height - GAP - 6, color, 0.4)
    return row


def _widened(row: np.ndarray, width: int) -> np.ndarray:
    return np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
