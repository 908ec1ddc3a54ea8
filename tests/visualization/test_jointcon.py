"""JointCon's boards, read back from their pixels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from hsjp_mm.models import JointCon
from hsjp_mm.visualization.jointcon import (
    COLUMN,
    FRAME,
    GAP,
    HEIGHT,
    LINE,
    PATCH,
    RIGHT,
    WRONG,
    draw_joints,
)

SIZE = 64
TOP = 2 * LINE + GAP
"""Height of the lines above the rows."""
ROW = HEIGHT + GAP


@pytest.fixture
def model() -> JointCon:
    return JointCon(
        backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
        head=dict(type='hsjp_mm.JointConHead', in_channels=64),
        input_size=(SIZE, SIZE),
    ).eval()


def draw(model, monkeypatch, joints: list[list[int]], taken_for: list[list[int]]) -> np.ndarray:
    """Draw crops that show some joints in both views, and have the network take them for others.

    A crop has one color, and its joints lie in its middle.
    """
    number, count = len(joints), 5
    seen = torch.zeros(number, 2, count, dtype=torch.bool)
    vectors = torch.eye(count).expand(number, 2, -1, -1).clone()
    for crop, (shown, taken) in enumerate(zip(joints, taken_for, strict=True)):
        seen[crop, :, shown] = True
        for joint, other in zip(shown, taken, strict=True):
            vectors[crop, :, joint] = F.one_hot(torch.tensor(other), count).float()
    monkeypatch.setattr(model, 'embed_joints', lambda inputs, samples: (vectors, seen))
    points = torch.full((1, 2, count, 2), SIZE / 2)
    samples = [
        PoseDataSample(
            metainfo=dict(id=f'crop {i}'), gt_instances=InstanceData(view_keypoints=points)
        )
        for i in range(number)
    ]
    colors = torch.arange(1, number + 1) * 50.0
    view = colors[:, None, None, None].expand(-1, 3, SIZE, SIZE)
    [(caption, board)] = draw_joints(model, (view, view), samples, True)
    assert caption == f'instances {", ".join(f"crop {i}" for i in range(number))}'
    return board


def pair(board: np.ndarray, crop: int, place: int) -> tuple[int, tuple, int]:
    """The gray of the patch, and the frame and the gray of the one below."""
    left = 2 * GAP + HEIGHT + place * (COLUMN + GAP)
    top = TOP + crop * ROW
    side = PATCH + 2 * FRAME
    patch, below = (board[top + i * side : top + (i + 1) * side, left : left + side]
                    for i in range(2))  # fmt: skip
    frame = tuple(below[0, 0].tolist())
    assert (below[:FRAME] == frame).all() and (below[:, -FRAME:] == frame).all()
    return int(patch[FRAME + 3, FRAME + 3, 0]), frame, int(below[FRAME + 3, FRAME + 3, 0])


def test_neighbors_of_other_crops_are_framed_by_whether_they_are_the_same_joint(model, monkeypatch):
    # the second crop's joint 1 looks like a 3, and the first one's 3 like a 3
    board = draw(model, monkeypatch, [[0, 3], [0, 1]], [[0, 3], [0, 3]])
    assert pair(board, 0, 0) == (50, RIGHT, 100)  # 0 and the other crop's 0
    assert pair(board, 0, 1) == (50, WRONG, 100)  # 3 and the other crop's 1
    assert pair(board, 1, 0) == (100, RIGHT, 50)
    assert pair(board, 1, 1) == (100, WRONG, 50)


def test_at_most_five_joints_are_shown_and_crops_without_joints_are_drawn(model, monkeypatch):
    board = draw(model, monkeypatch, [[0, 1, 2, 3, 4], []], [[0, 1, 2, 3, 4], []])
    assert board.shape[0] == TOP + 2 * ROW
    # there is nobody to be a neighbor: the crops alone
    assert (board[TOP : TOP + 2 * ROW, 2 * GAP + HEIGHT :] == 255).all()
    assert (board[TOP + ROW + 5, GAP + 5] == 100).all()


def test_the_heading_counts_the_joints_of_both_views(model, monkeypatch):
    written = []
    monkeypatch.setattr(
        'hsjp_mm.visualization.jointcon.write', lambda board, text, *_: written.append(text)
    )
    draw(model, monkeypatch, [[0, 3], [0, 1]], [[0, 3], [0, 3]])
    # four joints are a 0; the other four find one of the other number; one in two is the same
    assert 'the same joint: 4 of 8 (chance 2.0)' in written
