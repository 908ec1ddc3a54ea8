"""Pictures of masked autoencoding: what was shown, what was painted.

Letters: B batch, H and W height and width of a crop, L tokens, of which M are masked.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from hsjp_mm.models.pretext.base import instance_ids
from hsjp_mm.models.pretext.mae import MAE
from hsjp_mm.ops.windows import standardise
from hsjp_mm.visualization.pictures import TILE, to_rgb, write

GAP = 6
CAPTION = 22


def draw_mae(
    model: MAE, inputs: Tensor, samples: list, fixed: bool
) -> list[tuple[str, np.ndarray]]:
    """Draw a board for each instance, see :func:`mae_boards`; the ``board`` of MAE.

    Args:
        model, inputs: as in :func:`mae_boards`.
        samples: B data samples.
        fixed: the masks of the evaluation; otherwise random ones.
    """
    ids = instance_ids(samples)
    boards = mae_boards(model, inputs, ids if fixed else None)
    names = [f'instance {i} of {sample.img_path}' for i, sample in zip(ids, samples, strict=True)]
    return list(zip(names, boards, strict=True))


@torch.no_grad()
def mae_boards(model: MAE, crops: Tensor, ids: list | None = None) -> list[np.ndarray]:
    """Draw a board for each crop: input, masked, means alone, painted.

    The network predicts each masked patch up to its mean and its contrast, which ``painted`` takes
    from the crop. So it looks better than it is: ``means alone`` has the same means and nothing
    else, and only what ``painted`` has beyond it is the network's. The caption gives the share of
    the masked patches' variance that is explained. Gray is the data preprocessor's mean: the masked
    patches of ``masked``, and everywhere but in ``input`` the pixels that no token sees.

    Args:
        model: in evaluation mode.
        crops: (B, 3, H, W), preprocessed by the model's data preprocessor.
        ids: B instance ids, for the evaluation masks; None for random ones.

    Returns:
        B images (height, width, 3), RGB, uint8.
    """
    order = model.draw_order(crops, ids)
    masked = order[:, model.num_visible :, None]
    windows = model.windows.split(crops)
    truth, mean, deviation = standardise(torch.take_along_dim(windows, masked, dim=1))
    found = model.paint(crops, order)
    left = (truth - found).square().sum(dim=(1, 2)) / truth.square().sum(dim=(1, 2)).clamp(min=1e-6)
    places = masked.expand_as(truth)
    pictures = [
        model.windows.join(windows.scatter(1, places, patches))
        for patches in (
            torch.zeros_like(truth),
            mean.expand_as(truth),
            found * deviation + mean,
        )
    ]
    return [
        _board(
            [to_rgb(model, picture[i]) for picture in (crops, *pictures)],
            ['input', 'masked', 'means alone', f'painted, {1 - left[i]:.2f} explained'],
        )
        for i in range(len(crops))
    ]


def _board(tiles: list[np.ndarray], names: list[str]) -> np.ndarray:
    """Put tiles side by side under their captions."""
    height, width = tiles[0].shape[:2]
    size = (round(width * TILE / height), TILE)
    column = max(size[0], TILE) + GAP  # captions are as long as a square tile
    board = np.full((CAPTION + TILE + GAP, column * len(tiles) + GAP, 3), 255, np.uint8)
    for i, (tile, name) in enumerate(zip(tiles, names, strict=True)):
        left = GAP + i * column
        board[CAPTION : CAPTION + TILE, left : left + size[0]] = cv2.resize(tile, size)
        write(board, name, left, CAPTION - 7)
    return board
