"""Boards of a data set, for both pretext tasks."""

import numpy as np
import pytest
import torch
from mmpose.structures import PoseDataSample

from hsjp_mm.visualization import draw_boards, jigclu_board, puzzle_boards

STACK = dict(type='PoseDataPreprocessor')


def dataset(number: int, height: int, width: int) -> list[dict]:
    rng = np.random.RandomState(0)
    return [
        {
            'inputs': torch.from_numpy(rng.randint(0, 256, (3, height, width), dtype=np.uint8)),
            'data_samples': PoseDataSample(metainfo={'id': 100 + i, 'img_path': f'{i}.jpg'}),
        }
        for i in range(number)
    ]


def stacked(samples: list[dict], indices: range | list[int]) -> torch.Tensor:
    return torch.stack([samples[i]['inputs'] for i in indices]).float()


def test_hsjp_has_a_board_for_each_instance(make_model):
    model, samples = make_model(data_preprocessor=STACK).eval(), dataset(10, 64, 64)
    boards = draw_boards(model, samples, [*range(10)])
    assert [name for name, _ in boards] == [f'instance {100 + i} of {i}.jpg' for i in range(10)]
    for part in (range(5), range(5, 10)):
        expected = puzzle_boards(model, stacked(samples, part), [100 + i for i in part])
        for i, board in zip(part, expected, strict=True):
            assert np.array_equal(boards[i][1], board)


def test_jigclu_has_a_board_for_each_eight_instances(make_jigclu):
    model, samples = make_jigclu(data_preprocessor=STACK), dataset(12, 4 * 12, 20)
    boards = draw_boards(model, samples, [11, *range(8)])
    assert [name for name, _ in boards] == [
        'instances 111, 100, 101, 102, 103',
        'instances 104, 105, 106, 107',
    ]
    for (_, board), part in zip(boards, ([11, 0, 1, 2, 3], [4, 5, 6, 7]), strict=True):
        expected = jigclu_board(model, stacked(samples, part), [100 + i for i in part])
        assert np.array_equal(board, expected)


@pytest.mark.parametrize('pretext', ['hsjp', 'jigclu'])
def test_puzzles_are_fixed_or_random(make_model, make_jigclu, pretext):
    if pretext == 'hsjp':
        model, samples = make_model(data_preprocessor=STACK).eval(), dataset(2, 64, 64)
    else:
        model, samples = make_jigclu(data_preprocessor=STACK), dataset(2, 4 * 12, 20)
    torch.manual_seed(0)

    def drawn(fixed: bool) -> np.ndarray:
        return np.stack([board for _, board in draw_boards(model, samples, [0, 1], fixed)])

    assert np.array_equal(drawn(True), drawn(True))
    assert not np.array_equal(drawn(False), drawn(False))


def test_what_cannot_be_drawn(make_jigclu):
    with pytest.raises(ValueError, match='1 instances: a board of JigClu shows 2 or more'):
        draw_boards(make_jigclu(data_preprocessor=STACK), dataset(3, 4 * 12, 20), [2])
