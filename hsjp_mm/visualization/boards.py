"""Boards of a data set's puzzles, whatever the pretext task."""

import math
from functools import singledispatch

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor

from hsjp_mm.models.pretext import HSJP, JigClu
from hsjp_mm.models.pretext.base import PretextModel, instance_ids
from hsjp_mm.visualization.hsjp import puzzle_boards
from hsjp_mm.visualization.jigclu import COLOURS, jigclu_board

TOGETHER = len(COLOURS)
"""Instances that go through the network together, at most."""


def draw_boards(
    model: PretextModel, dataset, indices: list[int], fixed: bool = True
) -> list[tuple[str, np.ndarray]]:
    """Draw the puzzles of some instances of a data set.

    HSJP has a board for each instance, JigClu one for 2 to 8; more are spread evenly over several.

    Args:
        model: in evaluation mode, or its normalisation statistics would move.
        dataset: whose samples the model takes.
        indices: of the instances, one or more.
        fixed: the puzzles of the evaluation; otherwise random ones, and HSJP's are augmented.
            JigClu's patches are augmented by the data set, as its pipeline says.

    Returns:
        For each board, what it shows and the picture (height, width, 3), RGB, uint8.

    Raises:
        ValueError: a single instance for JigClu.
    """
    boards = []
    for some in np.array_split(indices, math.ceil(len(indices) / TOGETHER)):
        data = model.data_preprocessor(pseudo_collate([dataset[int(i)] for i in some]), False)
        boards += _draw(model, data['inputs'], data['data_samples'], fixed)
    return boards


@singledispatch
def _draw(model, inputs: Tensor, samples: list, fixed: bool) -> list[tuple[str, np.ndarray]]:
    raise TypeError(f'there are no boards of a {type(model).__name__}')


@_draw.register
def _(model: HSJP, inputs: Tensor, samples: list, fixed: bool):
    ids = instance_ids(samples)
    boards = puzzle_boards(model, inputs, ids if fixed else None)
    names = [f'instance {i} of {sample.img_path}' for i, sample in zip(ids, samples, strict=True)]
    return list(zip(names, boards, strict=True))


@_draw.register
def _(model: JigClu, inputs: Tensor, samples: list, fixed: bool):
    ids = instance_ids(samples)
    board = jigclu_board(model, inputs, ids if fixed else torch.randint(2**62, (1,)).tolist())
    return [(f'instances {", ".join(map(str, ids))}', board)]
