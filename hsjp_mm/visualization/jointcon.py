"""Pictures of JointCon: crops with their joints, and what the network takes for the same joint.

Letters: n crops, V views, K joints, D of an embedding.
"""

import cv2
import matplotlib
import numpy as np
import torch
from torch import Tensor

from hsjp_mm.models.pretext.base import instance_ids
from hsjp_mm.models.pretext.jointcon import JointCon
from hsjp_mm.ops.joint_retrieval import retrieval_sums
from hsjp_mm.visualization.pictures import DARK, FONT, to_rgb, write

RIGHT = (0, 130, 50)
WRONG = (190, 40, 40)
COLORS = matplotlib.colormaps['hsv']
HEIGHT = 160
"""Of a view on the board in pixels."""
PATCH = 56
"""Side of the patch around a joint on the board in pixels, cut out of the view at HEIGHT."""
COLUMN = 76
"""Width of a pair of patches with its text."""
SHOWN = 5
"""Joints of a crop that are looked up."""
FRAME = 3
GAP = 8
LINE = 20


@torch.no_grad()
def draw_joints(
    model: JointCon, inputs: tuple[Tensor, ...], samples: list, fixed: bool
) -> list[tuple[str, np.ndarray]]:
    """Draw some crops with their joints, a row each; the ``board`` of JointCon.

    A row is the crop's first view with its labelled joints. Beside it, for some of them, the patch
    around the joint stands above the one around its nearest neighbor in all views of the other
    crops, in a green frame if that is the same joint, with the numbers of both (which count from 0,
    as in the data set's metainfo) and the cosine.

    Args:
        model: in evaluation mode.
        inputs: V of (n, 3, h, w), preprocessed by the model's data preprocessor.
        samples: n data samples, with the joints.
        fixed: of no effect, for the data set's pipeline draws the views, as it says.

    Returns:
        One caption and picture (height, width, 3), RGB, uint8.
    """
    embeddings, seen = model.embed_joints(inputs, samples)
    places = seen.nonzero()
    rows = embeddings[seen]
    cosines = rows @ rows.T
    cosines[places[:, :1] == places[:, 0]] = -torch.inf
    points = torch.cat([sample.gt_instances.view_keypoints for sample in samples]).cpu().numpy()
    tiles = [[_tile(model, view[crop]) for view in inputs] for crop in range(len(samples))]
    scale = HEIGHT / inputs[0].shape[-2]
    drawn = []
    for crop in range(len(samples)):
        own = ((places[:, 0] == crop) & (places[:, 1] == 0)).nonzero()[:, 0].tolist()
        parts = [_with_joints(tiles[crop][0], points[crop, 0] * scale, seen[crop, 0].cpu().numpy())]
        for row in _spread(own):
            other = int(cosines[row].argmax())
            if cosines[row, other].isfinite():
                pair = [places[i].tolist() for i in (row, other)]
                parts.append(_pair(tiles, points * scale, pair, float(cosines[row, other])))
        drawn.append(_row(parts))
    return [(_caption(samples), _joined(drawn, _lines(rows, places, len(samples))))]


def _caption(samples: list) -> str:
    return f'instances {", ".join(map(str, instance_ids(samples)))}'


def _lines(rows: Tensor, places: Tensor, number: int) -> list[str]:
    """Say how many joints have the same joint as their nearest neighbor in other crops."""
    right, chance, asked = retrieval_sums(rows, rows, places, places)[0].tolist()
    return [
        f'joints of {number} crops; below each its nearest neighbor in the other crops',
        f'the same joint: {right:.0f} of {asked:.0f} (chance {chance:.1f})',
    ]


def _spread(rows: list[int]) -> list[int]:
    """Choose some rows at equal distances."""
    if not rows:
        return []
    chosen = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int)
    return [rows[i] for i in chosen]


def _tile(model: JointCon, view: Tensor) -> np.ndarray:
    """Draw a view (3, h, w), HEIGHT high."""
    width = round(view.shape[-1] * HEIGHT / view.shape[-2])
    return cv2.resize(to_rgb(model, view), (width, HEIGHT), interpolation=cv2.INTER_AREA)


def _with_joints(tile: np.ndarray, points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Draw the joints (K, 2) that are seen (K,), each in a color and with its number."""
    tile = tile.copy()
    for joint in np.flatnonzero(seen):
        red, green, blue = (int(255 * part) for part in COLORS(joint / len(seen))[:3])
        color = (red, green, blue)
        x, y = points[joint].round().astype(int).tolist()
        cv2.circle(tile, (x, y), 3, color, -1, cv2.LINE_AA)
        write(tile, str(joint), x + 4, y + 4, color, 0.35)
    return tile


def _pair(
    tiles: list[list[np.ndarray]], points: np.ndarray, pair: list[list[int]], cosine: float
) -> np.ndarray:
    """Draw the patches around two joints one above the other, and a line of text.

    Args:
        tiles: n lists of V views, HEIGHT high.
        points: (n, V, K, 2), in pixels of the tiles.
        pair: for both the crop, the view and which joint it is.
        cosine: of the two.
    """
    color = RIGHT if pair[0][2] == pair[1][2] else WRONG
    patches = []
    for (crop, view, joint), frame in zip(pair, ((255, 255, 255), color), strict=True):
        x, y = points[crop, view, joint].tolist()
        patch = cv2.getRectSubPix(tiles[crop][view], (PATCH, PATCH), (x, y))
        patches.append(_framed(patch, frame))
    text = f'{pair[0][2]}: {pair[1][2]} {cosine:.2f}'
    column = np.vstack(patches)
    missing = COLUMN - column.shape[1]
    column = np.pad(column, ((0, LINE), (0, missing), (0, 0)), constant_values=255)
    write(column, text, 0, column.shape[0] - 6, color, 0.4)
    return column


def _framed(patch: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    height, width = patch.shape[:2]
    framed = np.full((height + 2 * FRAME, width + 2 * FRAME, 3), color, np.uint8)
    framed[FRAME:-FRAME, FRAME:-FRAME] = patch
    return framed


def _row(parts: list[np.ndarray]) -> np.ndarray:
    """Lay pictures next to each other, with a gap before each and below."""
    height = max(part.shape[0] for part in parts)
    padded = [
        np.pad(
            part,
            ((0, height - part.shape[0] + GAP), (GAP, 0), (0, 0)),
            constant_values=255,
        )
        for part in parts
    ]
    return np.hstack(padded)


def _joined(rows: list[np.ndarray], lines: list[str]) -> np.ndarray:
    """Lay rows below each other under lines of text."""
    texts = [cv2.getTextSize(line, FONT, 0.45, 1)[0][0] + GAP for line in lines]
    width = max(*texts, *(row.shape[1] for row in rows)) + GAP
    head = np.full((LINE * len(lines) + GAP, width, 3), 255, np.uint8)
    for i, line in enumerate(lines):
        write(head, line, GAP, LINE * (i + 1) - 4, DARK, 0.45)
    widened = [
        np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    return np.vstack([head, *widened])
