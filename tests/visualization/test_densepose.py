import numpy as np

from hsjp_mm.visualization import draw_boards
from hsjp_mm.visualization.label_maps import label_colors
from tests.dense_bodies import CHART_OF
from tests.models.pretext.dense_models import dense_dataset, tiny_dense


def test_a_board_for_each_person(dense_bodies):
    model = tiny_dense('DensePose').eval()
    boards = draw_boards(model, dense_dataset('DensePose', dense_bodies), [0, 1, 3])
    colors = label_colors(24)
    for _, board in boards:
        assert board.shape == (252, 5 * 174 + 6, 3) and board.dtype == np.uint8
        annotated = board[22:246, 6:174].reshape(-1, 3).astype(int)
        for chart in CHART_OF.values():  # enlarged and smoothed, the dots keep nearly their color
            assert np.abs(annotated - colors[chart]).sum(axis=1).min() < 60
