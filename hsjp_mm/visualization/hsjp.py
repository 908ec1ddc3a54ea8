"""Pictures of puzzles: what went in, what was asked, what was answered.

Letters: B batch, H and W height and width of the input, N patches along a side, K = N².
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from hsjp_mm.models.pretext.base import instance_ids
from hsjp_mm.models.pretext.hsjp import HSJP, Puzzle
from hsjp_mm.ops import patches
from hsjp_mm.visualization.pictures import BAR, TILE, to_rgb, write, write_legend

CAPTIONS = ('crop', 'shuffled', 'input', 'target', 'prediction', 'put back')
MAPS = (3, 4)
"""The tiles that are maps, not images."""


def draw_hsjp(
    model: HSJP, inputs: Tensor, samples: list, fixed: bool
) -> list[tuple[str, np.ndarray]]:
    """Draw a board for each instance, see :func:`puzzle_boards`; the ``board`` of HSJP.

    Args:
        model, inputs: as in :func:`puzzle_boards`.
        samples: B data samples.
        fixed: the puzzles of the evaluation; otherwise random, augmented ones.
    """
    ids = instance_ids(samples)
    boards = puzzle_boards(model, inputs, ids if fixed else None)
    names = [f'instance {i} of {sample.img_path}' for i, sample in zip(ids, samples, strict=True)]
    return list(zip(names, boards, strict=True))


@torch.no_grad()
def puzzle_boards(model: HSJP, crops: Tensor, ids: list | None = None) -> list[np.ndarray]:
    """Draw a board for each crop: crop, shuffled, input, target, prediction, put back.

    Each patch has a color of its own, by its original place: its Gaussian in ``target`` and its
    predicted map in ``prediction`` have it, and where both agree they look alike. The brightness of
    both is absolute, black for 0 and full for 1, as the legends say, so that boards of different
    networks can be compared; the caption gives the highest value predicted. ``put back`` takes for
    each original place the piece of the shuffled image that lies around the predicted peak.

    Args:
        model: in evaluation mode, or its normalisation statistics would move.
        crops: (B, 3, H, W), preprocessed by the model's data preprocessor.
        ids: B instance ids, for the evaluation puzzles; None for random, augmented ones.

    Returns:
        B images (height, width, 3), RGB, uint8.
    """
    puzzle = model.make_puzzle(crops, ids)
    points, _, heatmaps = model.head.predict(model.extract_feat(puzzle.inputs))
    targets, inside = model.head.targets(puzzle.centers)
    restored = put_back(puzzle, points, model.grid)
    colors = patch_colors(model.grid)
    boards = []
    for i in range(len(crops)):
        tiles = [
            to_rgb(model, crops[i]),
            to_rgb(model, puzzle.shuffled[i]),
            to_rgb(model, puzzle.inputs[i, :3]),
            color_maps(targets[i] * inside[i, :, None, None], colors),
            color_maps(heatmaps[i], colors),
            to_rgb(model, restored[i]),
        ]
        names = [*CAPTIONS[:4], f'{CAPTIONS[4]}, up to {heatmaps[i].max():.2f}', *CAPTIONS[5:]]
        boards.append(_board(tiles, names))
    return boards


def put_back(puzzle: Puzzle, points: Tensor, grid: int) -> Tensor:
    """Cut a patch around each predicted point out of the shuffled image and join them in order.

    Args:
        puzzle: B puzzles.
        points: (B, K, 2) predicted places of the original patches, (x, y) in input pixels.
        grid: N.

    Returns:
        (B, 3, N·p, N·p), the size of ``puzzle.shuffled``.
    """
    height, width = (side // grid for side in puzzle.shuffled.shape[-2:])
    places = patches.warp_points(points, patches.invert_affine(puzzle.matrices))
    corner = (places - places.new_tensor([width / 2, height / 2])).round().long()
    rows = corner[..., 1].clamp(0, puzzle.shuffled.shape[-2] - height)
    columns = corner[..., 0].clamp(0, puzzle.shuffled.shape[-1] - width)
    pieces = [
        torch.stack([image[:, r : r + height, c : c + width] for r, c in zip(*at, strict=True)])
        for image, *at in zip(puzzle.shuffled, rows.tolist(), columns.tolist(), strict=True)
    ]
    return patches.join(torch.stack(pieces), grid)


def patch_colors(grid: int) -> np.ndarray:
    """Give each original place a color, (K, 3) RGB from 0 to 1."""
    hue = np.arange(grid**2) / grid**2 * 180
    hsv = np.stack([hue, np.full(grid**2, 200), np.full(grid**2, 255)], axis=1).astype(np.uint8)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0] / 255


def color_maps(heatmaps: Tensor, colors: np.ndarray) -> np.ndarray:
    """Paint maps (K, h, w) over each other, each in its color; (h, w, 3), RGB, uint8."""
    maps = heatmaps.clamp(0, 1).cpu().numpy()
    best = maps.argmax(axis=0)
    return (255 * maps.max(axis=0)[..., None] * colors[best]).astype(np.uint8)


def _board(
    tiles: list[np.ndarray], names: list[str], gap: int = 6, caption: int = 22
) -> np.ndarray:
    """Put tiles side by side under their captions, and a legend above those of the maps."""
    grays = np.linspace(0, 255, BAR).astype(np.uint8)[:, None].repeat(3, axis=1)
    top = 2 * caption
    board = np.full((top + TILE + gap, (TILE + gap) * len(tiles) + gap, 3), 255, np.uint8)
    for i, (tile, name) in enumerate(zip(tiles, names, strict=True)):
        left = gap + i * (TILE + gap)
        enlarge = cv2.INTER_NEAREST if tile.shape[0] < TILE // 2 else cv2.INTER_LINEAR
        board[top : top + TILE, left : left + TILE] = cv2.resize(
            tile, (TILE, TILE), interpolation=enlarge
        )
        write(board, name, left, top - 7)
        if i in MAPS:
            write_legend(board, grays, ('0', '1'), left + TILE, caption - 5)
    return board
