"""Pictures of a comparison: boards of the pretrainings, and poses that the fine-tunings predict."""

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import ConfigDict

from hsjp_mm.comparison.logs import last_checkpoint, last_config, reason_of
from hsjp_mm.comparison.pretrainings import Pretraining
from hsjp_mm.comparison.runs import FineTuning, percent
from hsjp_mm.registry import DATASETS
from hsjp_mm.visualization.poses import Boxes, boxes_of_dataset, boxes_of_file, draw_poses

Pictures = list[tuple[str, np.ndarray]]
"""Captions and pictures (height, width, 3), RGB, uint8."""
UNDRAWABLE = Exception
"""What stands in the way of a picture, and must not cost the report of all runs: a file that is
gone or damaged, a config or a checkpoint of another kind. These raise almost anything."""
_BOARD = re.compile(r'puzzle_(\d+)_(\d+)\.png')


def boards_of(pretraining: Pretraining) -> tuple[Pictures, list[str]]:
    """Read what ``hsjp_mm.PuzzleVisualizationHook`` drew at the first and the last evaluation.

    Returns:
        The boards, and for each that cannot be read, which.
    """
    drawn: dict[int, dict[int, Path]] = {}
    for path in sorted(Path(pretraining.folder).glob('*/vis_data/vis_image/puzzle_*.png')):
        if match := _BOARD.fullmatch(path.name):
            drawn.setdefault(int(match[1]), {})[int(match[2])] = path
    pictures: Pictures = []
    reasons: list[str] = []
    for number, boards in sorted(drawn.items()):
        for step in dict.fromkeys((min(boards), max(boards))):
            caption = f'{pretraining.name}, board {number + 1} after {step:,} iterations'
            board = cv2.imread(str(boards[step]))
            if board is None:
                reasons.append(f'{caption} is not shown: {boards[step]} cannot be read.')
            else:
                pictures.append((caption, board[..., ::-1]))
    return pictures, reasons


def poses_of(runs: Sequence[FineTuning]) -> tuple[Pictures, list[str]]:
    """Draw the poses that one run of each initialisation predicts, on validation images.

    Returns:
        The pictures, and for each that there is not, why.
    """
    pictures, reasons = [], []
    for name, run in chosen_runs(runs).items():
        try:
            pictures.append((caption_of(run), _draw(run)))
        except UNDRAWABLE as error:
            reasons.append(f'No poses of {name} are drawn: {reason_of(error)}.')
    return pictures, reasons


def chosen_runs(runs: Sequence[FineTuning]) -> dict[str, FineTuning]:
    """The run that is drawn of each initialisation: of most labels, and of them the lowest seed."""
    found: dict[str, FineTuning] = {}
    for run in sorted(runs, key=lambda run: (-run.fraction, run.seed)):
        found.setdefault(run.init, run)
    return {name: found[name] for name in dict.fromkeys(run.init for run in runs)}


def caption_of(run: FineTuning) -> str:
    """Which run it is, for a picture."""
    return f'{run.init}, {percent(run.fraction)} of the labels, seed {run.seed}'


def checkpoint_left(run: FineTuning) -> Path:
    """The last checkpoint of a run.

    Raises:
        FileNotFoundError: There is none any more.
    """
    checkpoint = last_checkpoint(run.folder)
    if checkpoint is None or not checkpoint.is_file():
        raise FileNotFoundError('the run has no checkpoint left')
    return checkpoint


def _draw(run: FineTuning) -> np.ndarray:
    config = last_config(run.folder)
    if 'Topdown' not in config.model.type:
        raise ValueError(f'{config.model.type} is no top-down model')
    checkpoint = checkpoint_left(run)
    dataset = config.val_dataloader.dataset
    return draw_poses(config, str(checkpoint), _boxes(dataset))


def _boxes(dataset: ConfigDict) -> Boxes:
    """The boxes of a data set's persons: from its file, which is quick, or as it has read them."""
    images = (dataset.get('data_prefix') or {}).get('img')
    if not dataset.get('ann_file') or images is None:
        raise ValueError(f'{dataset.type} names no annotations, or no folder of images')
    root = dataset.get('data_root') or ''
    if Path(dataset.ann_file).suffix != '.json':  # such as LSP's joints.mat
        return boxes_of_dataset(DATASETS.build({**dataset, 'pipeline': []}))
    return boxes_of_file(str(Path(root, dataset.ann_file)), str(Path(root, images)))
