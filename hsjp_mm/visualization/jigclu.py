"""Pictures of Jigsaw Clustering: the montages, where their patches are from, what was found.

Letters: n images, m patches along a side, K = m², P = n·K patches, h and w height and width of a
patch.
"""

import cv2
import matplotlib
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hsjp_mm.models.pretext.base import instance_ids
from hsjp_mm.models.pretext.jigclu import JigClu
from hsjp_mm.ops import patches, regrouping
from hsjp_mm.visualization.pictures import DARK, TILE, to_rgb, write

COLORS = matplotlib.colormaps['Set1'](range(8), bytes=True)[:, :3]
"""One for each image, RGB."""
GREEN = (0, 130, 50)
SMALLEST = 56
"""Height in pixels that a patch has at least, so that its tag fits."""
FRAME = 5
GAP = 8
LINE = 20


def draw_jigclu(
    model: JigClu, inputs: Tensor, samples: list, fixed: bool
) -> list[tuple[str, np.ndarray]]:
    """Draw one board of all instances, see :func:`jigclu_board`; the ``board`` of JigClu.

    Args:
        model, inputs: as in :func:`jigclu_board`.
        samples: n data samples.
        fixed: the montages of the evaluation; otherwise random ones. The patches are augmented by
            the data set, as its pipeline says.
    """
    ids = instance_ids(samples)
    board = jigclu_board(model, inputs, ids if fixed else torch.randint(2**62, (1,)).tolist())
    return [(f'instances {", ".join(map(str, ids))}', board)]


@torch.no_grad()
def jigclu_board(model: JigClu, inputs: Tensor, ids: list) -> np.ndarray:
    """Draw the evaluation montages of some images, and the images that the network finds in them.

    Three rows, n images each: the montages; the true origin, each image's patches in their order;
    the images found, by :func:`~hsjp_mm.ops.regrouping.put_together`, each below the
    true image that it has most of, as far as that can be for all. A patch keeps the frame and the
    tag of its true origin: a color and a letter for the image, a number from 1 for the place. The
    captions give the numbers of these n images, and what chance would give. Without a location
    branch the patches of a group found are in no particular order.

    Args:
        model: in evaluation mode, or its normalisation statistics would move.
        inputs: (n, 3, K·h, w), 2 to 8 images, preprocessed by the model's data preprocessor.
        ids: n instance ids, from which the montages are drawn.

    Returns:
        (height, width, 3), RGB, uint8.

    Raises:
        ValueError: another number of images.
    """
    if not 2 <= len(inputs) <= len(COLORS):
        raise ValueError(f'{len(inputs)} images: a board of JigClu shows 2 to {len(COLORS)}')
    order, vectors, logits = model.solve(inputs, ids)
    size = model.grid**2
    sources = order.cpu().numpy()
    # in the montages' order, for where vectors are equal the grouping follows the order given
    found = sources[_groups(vectors[order], None if logits is None else logits[order], size)]
    found = found[_columns(found // size)]
    cells = torch.stack([_cell(model, piece, i) for i, piece in enumerate(model.cut(inputs))])
    seen = (
        'montages: what the network sees, without the frames'
        if model.montage
        else 'patches, shuffled: the network sees each by itself'
    )
    rows = [
        _row(cells, sources.reshape(-1, size), [seen], model.grid),
        _row(cells, np.arange(len(sources)).reshape(-1, size), ['true origin'], model.grid),
        _row(cells, found, _numbers(vectors, logits, found), model.grid,
             _captions(found, logits is not None)),
    ]  # fmt: skip
    return np.vstack(rows)


def _groups(vectors: Tensor, logits: Tensor | None, size: int) -> np.ndarray:
    """Make images of patches, (n, K) of them; unordered without logits."""
    rows = vectors.float().cpu().numpy()
    if logits is None:
        return regrouping.group(rows, size).argsort(kind='stable').reshape(-1, size)
    return regrouping.put_together(rows, logits.float().cpu().numpy())


def _columns(images: np.ndarray) -> np.ndarray:
    """For each true image the group to show below it, from the images (n, K) of their patches."""
    shared = (images[None] == np.arange(len(images))[:, None, None]).sum(axis=2)
    return linear_sum_assignment(shared, maximize=True)[1]


def _numbers(vectors: Tensor, logits: Tensor | None, found: np.ndarray) -> list[str]:
    """Say in lines how well the patches were clustered and located."""
    number, size = len(vectors), found.shape[1]
    vectors = vectors.float().cpu()
    nearest = regrouping.retrieved(vectors, vectors, torch.arange(number) // size).sum()
    chance = number * regrouping.retrieval_chance(len(found), size)
    lines = [f'nearest patch is of the same image: {nearest:.1f} of {number} (chance {chance:.1f})']
    if logits is None:
        return ['groups found, in no order: the head has no location branch', *lines]
    right = (logits.argmax(dim=1).cpu() == torch.arange(number) % size).sum()
    whole = regrouping.restored(found, np.arange(number)).sum()
    return [
        f'images found: {whole} of {len(found)} restored',
        f'located: {right} of {number} (chance {number / size:.1f})',
        *lines,
    ]


def _captions(found: np.ndarray, ordered: bool) -> list[str]:
    """Say of each image found how much of the true image above it it has."""
    number, size = found.shape
    images = found // size == np.arange(number)[:, None]
    if not ordered:
        return [f'{together} of {size} together' for together in images.sum(axis=1)]
    placed = (images & (found % size == np.arange(size))).sum(axis=1)
    return ['restored' if right == size else f'{right} of {size} in place' for right in placed]


def _cell(model: JigClu, piece: Tensor, source: int) -> Tensor:
    """Draw the patch (3, h, w) in the frame of its source, image·K + location; (3, height, width).

    The frame lies around the patch; only the tag hides a corner.
    """
    image, place = divmod(source, model.grid**2)
    height = max(TILE // model.grid, SMALLEST)
    width = round(height * model.patch_size[0] / model.patch_size[1])
    inside = (width - 2 * FRAME, height - 2 * FRAME)
    color = COLORS[image]
    picture = np.full((height, width, 3), color, np.uint8)
    picture[FRAME:-FRAME, FRAME:-FRAME] = cv2.resize(
        to_rgb(model, piece), inside, interpolation=cv2.INTER_AREA
    )
    tag = f'{chr(ord("A") + image)}{place + 1}'
    picture[: LINE - 4, : 10 * len(tag)] = color
    bright = np.dot(color, (0.299, 0.587, 0.114)) > 127
    write(picture, tag, 3, LINE - 8, DARK if bright else (255, 255, 255), 0.4)
    return torch.from_numpy(picture).permute(2, 0, 1)


def _row(
    cells: Tensor, shown: np.ndarray, lines: list[str], grid: int, captions: list[str] | None = None
) -> np.ndarray:
    """Draw images of patches next to each other, lines of text above and captions below.

    Args:
        cells: (P, 3, height, width), uint8.
        shown: (n, K) the patches of each image.
        lines, captions: texts; a caption for each image.
        grid: m.
    """
    tiles = patches.join(cells[torch.from_numpy(shown)], grid).permute(0, 2, 3, 1).numpy()
    number, height, width = tiles.shape[:3]
    top = GAP + LINE * len(lines)
    bottom = top + height + LINE * bool(captions)
    row = np.full((bottom, GAP + number * (width + GAP), 3), 255, np.uint8)
    for i, line in enumerate(lines):
        write(row, line, GAP, LINE * (i + 1), scale=0.45)
    for i, tile in enumerate(tiles):
        left = GAP + i * (width + GAP)
        row[top : top + height, left : left + width] = tile
        if captions:
            color = GREEN if captions[i] == 'restored' else DARK
            write(row, captions[i], left, bottom - 5, color, 0.45)
    return row
