"""DetCon's boards, read back from their pixels."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmpose.structures import PoseDataSample
from torch import nn

from hsjp_mm.visualization import draw_boards
from hsjp_mm.visualization.detcon import TINT, _colors, draw_segments
from hsjp_mm.visualization.views import GAP, HEIGHT, LINE, RIGHT, WRONG
from tests.helpers import tiny_detcon

HEAD = 3 * LINE + GAP
ROW = HEIGHT + LINE + GAP
WIDTH = round(48 * HEIGHT / 32)


class Colors(nn.Module):
    """A backbone whose map is the mean color of each 8×8 pixels."""

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        return (nn.functional.avg_pool2d(inputs, 8),)


class Reader(nn.Module):
    """A head whose embedding of a segment is its color."""

    def embed(self, vectors: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(vectors, dim=1)


def reader():
    model = tiny_detcon('DetConS').eval()
    model.backbone, model.head = Colors(), Reader()
    return model


def crops() -> tuple[tuple[torch.Tensor, ...], list[PoseDataSample]]:
    """Two crops 48×32 of which the halves have a color each; in the second one they are alike.

    Crop 0 has segments 0 and 1, which are found again. Crop 1 has 0 (the larger one), which is as
    crop 0's segment 0 in its second view and so mistaken, and 2, which only its first view shows.
    """
    first, second = torch.zeros(2, 3, 32, 48), torch.zeros(2, 3, 32, 48)
    colors = {'a': (200, 20, 20), 'b': (20, 200, 20), 'c': (20, 20, 200), 'd': (90, 90, 90)}
    colors = {name: torch.tensor(color).float()[:, None, None] for name, color in colors.items()}
    first[0, :, :, :24], first[0, :, :, 24:] = colors['a'], colors['b']
    second[0, :, :, :24], second[0, :, :, 24:] = colors['a'], colors['b']
    first[1, :, :, :32], first[1, :, :, 32:] = colors['a'], colors['d']
    second[1] = colors['c']
    segments = torch.zeros(2, 2, 32, 48, dtype=torch.long)
    segments[0, :, :, 24:] = 1
    segments[1, 0, :, 32:] = 2
    samples = [
        PoseDataSample(metainfo={'id': i + 5}, gt_fields=PixelData(view_segments=segments[i]))
        for i in range(2)
    ]
    return (first, second), samples


def tile(board: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = HEAD + row * ROW, GAP + column * (WIDTH + GAP)
    return board[top : top + HEIGHT, left : left + WIDTH].astype(int)


@pytest.mark.slow
def test_segments_found_again_are_green_and_mistaken_ones_red():
    views, samples = crops()
    [(caption, board)] = draw_segments(reader(), views, samples, True)
    assert caption == 'instances 5, 6'
    half, y = WIDTH // 2, HEIGHT // 2
    quarter, last = WIDTH // 4, WIDTH - 10
    # the model takes BGR: (200, 20, 20) is blue
    colors = {'a': (20, 20, 200), 'b': (20, 200, 20), 'd': (90, 90, 90)}

    def tinted(color: str, verdict: tuple) -> np.ndarray:
        return (1 - TINT) * np.array(colors[color]) + TINT * np.array(verdict)

    assert tile(board, 0, 0)[y, quarter].tolist() == list(colors['a'])
    np.testing.assert_allclose(tile(board, 0, 2)[y, quarter], tinted('a', RIGHT), atol=1)
    np.testing.assert_allclose(tile(board, 0, 2)[y, half + quarter], tinted('b', RIGHT), atol=1)
    np.testing.assert_allclose(tile(board, 1, 2)[y, quarter], tinted('a', WRONG), atol=1)
    assert tile(board, 1, 2)[y, last].tolist() == list(colors['d'])  # the second view has none


def test_borders_have_the_colors_of_their_segments():
    views, samples = crops()
    [(_, board)] = draw_segments(reader(), views, samples, True)
    shown = tile(board, 0, 0)
    middle, y = WIDTH // 2, HEIGHT // 2
    hues = _colors(np.array([[0, 1]]))[0]
    assert shown[y, middle - 1].tolist() == hues[0].tolist()
    assert shown[y, middle].tolist() == hues[1].tolist()
    assert shown[y, middle - 3].tolist() == [20, 20, 200]
    distance = np.abs(hues[0].astype(int) - hues[1]).sum()
    assert distance > 300


def test_the_nearest_to_the_largest_segment_is_shown_where_it_lies():
    views, samples = crops()
    [(_, board)] = draw_segments(reader(), views, samples, True)
    middle, y = WIDTH // 2, HEIGHT // 2
    # crop 1's largest is mistaken for the left half of crop 0's second view, drawn by itself
    shown = tile(board, 1, 3)
    assert shown[y, 10].tolist() == [20, 20, 200]
    assert shown[y, middle + 10].tolist() == [20, 200, 20]
    assert shown[y, middle - 1].tolist() == _colors(np.array([[0]]))[0, 0].tolist()
    assert shown[y, middle].tolist() == [20, 200, 20]


def test_the_board_is_the_models(tiny_coco):
    from hsjp_mm.datasets import PersonCropDataset
    from tests.models.pretext.test_detcon import PIPELINE

    model = tiny_detcon('DetConB', input_size=(64, 64)).eval()
    dataset = PersonCropDataset(
        'boxes.json', data_root=str(tiny_coco), data_prefix=dict(img='images'), pipeline=PIPELINE
    )
    model.prepare(dataset)
    [(caption, board)] = draw_boards(model, dataset, [0, 1, 2])
    assert caption == 'instances 11, 12, 14'
    assert board.dtype == np.uint8
    assert board.shape[0] == HEAD + 3 * ROW
