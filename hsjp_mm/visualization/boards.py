"""Boards of a data set's instances, whatever the pretext task."""

import math

import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.utils import get_object_from_string

from hsjp_mm.models.pretext.base import PretextModel

TOGETHER = 8
"""How many instances go through the network together, at most."""


def draw_boards(
    model: PretextModel, dataset, indices: list[int], fixed: bool = True
) -> list[tuple[str, np.ndarray]]:
    """Draw the pretext task of some instances of a data set, by the model's ``board``.

    Args:
        model: in evaluation mode, or its normalisation statistics would move.
        dataset: whose samples the model takes.
        indices: of the instances, as many as the task needs or more.
        fixed: the tasks of the evaluation; otherwise random ones, as in training. What the data
            set's pipeline draws it draws as it says in either case.

    Returns:
        For each board, what it shows and the picture (height, width, 3), RGB, uint8.

    Raises:
        ValueError: fewer instances than the task needs.
        TypeError: the model has no board.
    """
    if len(indices) < model.min_batch:
        raise ValueError(
            f'{len(indices)} instances: a board of {type(model).__name__} shows '
            f'{model.min_batch} or more'
        )
    draw = _board_of(type(model))
    boards = []
    for some in np.array_split(indices, math.ceil(len(indices) / TOGETHER)):
        data = model.data_preprocessor(pseudo_collate([dataset[int(i)] for i in some]), False)
        boards += draw(model, data['inputs'], data['data_samples'], fixed)
    return boards


def _board_of(cls: type):
    """The function that draws a model's task, which the class may name by a dotted path."""
    board = getattr(cls, 'board', None)
    if not board:
        raise TypeError(f'{cls.__name__} has no board: set its class attribute `board`')
    return get_object_from_string(board) if isinstance(board, str) else board
