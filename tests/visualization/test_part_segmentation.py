import numpy as np

from hsjp_mm.visualization import draw_boards
from tests.models.pretext.dense_models import dense_dataset, tiny_dense


def test_a_board_for_each_person(dense_bodies):
    model = tiny_dense('PartSegmentation').eval()
    boards = draw_boards(model, dense_dataset('PartSegmentation', dense_bodies), [0, 2])
    assert [text.split(' of ')[0] for text, _ in boards] == ['instance 0', 'instance 2']
    crop, annotated = (np.s_[22:246, 6 + i * 174 : 174 + i * 174] for i in (0, 1))
    for _, board in boards:
        assert board.shape == (252, 4 * 174 + 6, 3) and board.dtype == np.uint8
        assert np.ptp(board[crop], axis=2).max() == 0  # the painted bodies are gray
        assert np.ptp(board[annotated], axis=2).max() > 50
    assert (boards[0][1] != boards[1][1]).any()
