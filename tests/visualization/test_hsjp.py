from dataclasses import replace

import numpy as np
import pytest
import torch
from mmpose.structures import PoseDataSample

from hsjp_mm.ops import patches
from hsjp_mm.visualization import puzzle_boards
from hsjp_mm.visualization.hsjp import TILE, color_maps, patch_colors, put_back
from hsjp_mm.visualization.pictures import BAR

NORMALISE = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)


def tiles(board: np.ndarray) -> list[np.ndarray]:
    """Cut a board into its six tiles, which are all that is TILE high and wide between gaps."""
    top = board.shape[0] - 6 - TILE
    return [board[top : top + TILE, 6 + i * (TILE + 6) :][:, :TILE] for i in range(6)]


@pytest.mark.parametrize(
    ('grid', 'size'), [*((grid, (224, 224)) for grid in range(2, 9)), (5, (96, 64))]
)
@pytest.mark.parametrize('evaluation', [True, False])
def test_put_back_with_the_true_centers_gives_back_the_crop(make_model, grid, size, evaluation):
    model = make_model(grid, size)
    torch.manual_seed(0)
    crops = torch.rand(3, 3, *size[::-1])
    puzzle = model.make_puzzle(crops, [1, 2, 3] if evaluation else None)
    restored = put_back(puzzle, puzzle.centers, grid)
    assert torch.equal(restored, patches.resize_to_grid(crops, grid))
    assert not torch.equal(puzzle.shuffled, restored)


def test_put_back_shows_wrong_predictions(make_model):
    model = make_model(2)
    crops = torch.rand(1, 3, 64, 64)
    puzzle = model.make_puzzle(crops, [1])
    restored = put_back(puzzle, puzzle.centers[:, [1, 0, 2, 3]], 2)
    expected = patches.split(crops, 2)[:, [1, 0, 2, 3]]
    assert torch.equal(patches.split(restored, 2), expected)
    outside = put_back(puzzle, torch.full((1, 4, 2), 999.0), 2)  # the corner that is nearest
    assert torch.equal(outside, puzzle.shuffled[:, :, 32:, 32:].repeat(1, 1, 2, 2))


def test_board_of_a_perfect_prediction(make_model, monkeypatch):
    model = make_model(2, (224, 224), data_preprocessor=NORMALISE).eval()
    image = np.random.RandomState(0).randint(0, 256, (224, 224, 3), dtype=np.uint8)  # RGB
    bgr = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    data = {'inputs': [bgr], 'data_samples': [PoseDataSample()]}
    crops = model.data_preprocessor(data, False)['inputs']
    puzzle = model.make_puzzle(crops, [1])
    maps = model.head.targets(puzzle.centers)[0]
    monkeypatch.setattr(model.head, 'predict', lambda feats: (puzzle.centers, None, maps))
    board = puzzle_boards(model, crops, [1])[0]
    assert board.dtype == np.uint8
    assert board.shape[1] == 6 * TILE + 7 * 6
    crop, shuffled, network_input, target, prediction, restored = tiles(board)
    assert np.array_equal(crop, image)
    assert np.array_equal(restored, image)
    assert np.array_equal(network_input, shuffled)  # nothing is augmented in evaluation
    own = patches.split(torch.from_numpy(image.copy()).permute(2, 0, 1)[None], 2)
    moved = patches.join(patches.shuffle(own, puzzle.slots), 2)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(shuffled, moved)
    assert np.array_equal(target, prediction)
    for (x, y), color in zip(puzzle.centers[0].long().tolist(), patch_colors(2), strict=True):
        assert np.abs(target[y, x] - 255 * color).max() < 30
    assert target[0, 0].max() == 0


def test_board_of_a_model_without_normalisation(make_model):
    model = make_model(2, (224, 224)).eval()
    image = np.random.RandomState(0).randint(0, 256, (224, 224, 3), dtype=np.uint8)
    crops = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float()
    assert np.array_equal(tiles(puzzle_boards(model, crops, [1])[0])[0], image)


def test_targets_outside_the_input_are_not_drawn(make_model, monkeypatch):
    model = make_model(2, (224, 224)).eval()
    crops = torch.zeros(1, 3, 224, 224)
    puzzle = model.make_puzzle(crops, [1])
    centers = torch.tensor([[[-2.0, 56], [168, 56], [56, 168], [168, 222]]])
    monkeypatch.setattr(model, 'make_puzzle', lambda *_: replace(puzzle, centers=centers))
    target = tiles(puzzle_boards(model, crops, [1])[0])[3]
    assert target[56, :100].max() == 0
    assert target[222, 168].max() > 200


def test_six_channels_give_boards_too(make_model):
    model = make_model(2, unshuffled=True).eval()
    first, again = (puzzle_boards(model, torch.rand(2, 3, 64, 64) * 255, [1, 2]) for _ in range(2))
    assert len(first) == 2
    assert not np.array_equal(tiles(first[0])[0], tiles(again[0])[0])


@pytest.mark.parametrize('grid', [2, 6, 8])
def test_patches_have_different_bright_colors(grid):
    colors = patch_colors(grid)
    assert colors.shape == (grid**2, 3)
    apart = np.abs(colors[:, None] - colors).max(axis=2) + np.eye(grid**2)
    assert apart.min() > 0.02
    assert (colors.max(axis=1) == 1).all() and (colors.min(axis=1) < 0.3).all()


def test_the_highest_map_gives_the_color():
    maps = torch.tensor([[[0.0, 1.0, 0.2]], [[0.0, 0.5, 0.4]], [[-1.0, 0.0, 7.0]]])
    colors = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0.5, 1]])
    painted = color_maps(maps, colors)
    assert painted.tolist() == [[[0, 0, 0], [255, 0, 0], [0, 127, 255]]]


def test_maps_are_drawn_on_one_scale_from_zero_to_one(make_model, monkeypatch):
    model = make_model(2, (224, 224)).eval()
    crops = torch.zeros(1, 3, 224, 224)
    puzzle = model.make_puzzle(crops, [1])
    full = model.head.targets(puzzle.centers)[0]
    brightest = {}
    for height in (0.0, 0.004, 0.5, 1.0, 1.5):
        predicted = (puzzle.centers, None, height * full)
        monkeypatch.setattr(model.head, 'predict', lambda feats, predicted=predicted: predicted)
        board = puzzle_boards(model, crops, [1])[0]
        brightest[height] = int(tiles(board)[4].max())
        assert tiles(board)[3].max() > 250  # the target is as it was
    assert brightest[0.0] == 0 and brightest[0.004] <= 1  # no bright square
    assert brightest[0.5] == pytest.approx(127, abs=3)
    assert brightest[1.0] > 250 and brightest[1.5] == 255


def test_the_legend_of_a_board_goes_from_black_to_white_above_both_maps(make_model):
    board = puzzle_boards(make_model(2), torch.rand(1, 3, 64, 64), [1])[0]
    for i in range(6):
        left = 6 + i * (TILE + 6)
        row = board[13, left : left + TILE].max(axis=1).astype(int)
        dark = np.flatnonzero(row < 200)
        if i not in (3, 4):
            assert not len(dark)  # no legend, and the captions are lower
            continue
        ramp = row[dark[row[dark] == 0][0] :][:BAR]
        assert ramp[0] == 0 and ramp[-1] == 255 and (np.diff(ramp) >= 0).all()
