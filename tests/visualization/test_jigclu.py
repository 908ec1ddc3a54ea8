"""JigClu's boards, read back from their pixels."""

import cv2
import numpy as np
import pytest
import torch

from hsjp_mm.models import JigClu
from hsjp_mm.ops import regrouping
from hsjp_mm.visualization import jigclu_board
from hsjp_mm.visualization.jigclu import (
    COLORS,
    FRAME,
    GAP,
    LINE,
    SMALLEST,
    _captions,
    _numbers,
)  # fmt: skip
from hsjp_mm.visualization.pictures import TILE

LINES = (1, 1, 3)  # of text above the three rows


def plain(model: JigClu, number: int) -> torch.Tensor:
    """Images whose patches have one color each: patch i = image·K + location is (i, 255 − i, 7).

    That is in RGB; the model takes BGR.
    """
    (width, height), patches = model.patch_size, number * model.grid**2
    colors = torch.tensor([[7, 255 - i, i] for i in range(patches)], dtype=torch.float32)
    column = colors.view(number, -1, 3).transpose(1, 2).repeat_interleave(height, dim=2)
    return column[..., None].expand(-1, -1, -1, width).contiguous()


def read(board: np.ndarray, model: JigClu, lines: tuple = LINES) -> np.ndarray:
    """The patches (3, n, K) that a board of plain ones shows, by their color.

    Each must be in the frame of its image's color, all around.
    """
    grid = model.grid
    height = max(TILE // grid, SMALLEST)
    width = round(height * model.patch_size[0] / model.patch_size[1])
    number = (board.shape[1] - GAP) // (grid * width + GAP)
    shown = np.zeros((3, number, grid**2), int)
    bottom = 0
    for row, above in enumerate(lines):
        top = bottom + GAP + LINE * above
        bottom = top + grid * height
        for image, place in np.ndindex(number, grid**2):
            y = top + place // grid * height
            x = GAP + image * (grid * width + GAP) + place % grid * width
            cell = board[y : y + height, x : x + width]
            red, green, blue = map(int, cell[height // 2, width // 2])
            assert (red + green, blue) == (255, 7)
            shown[row, image, place] = red
            frame = cell.copy()
            frame[FRAME:-FRAME, FRAME:-FRAME] = COLORS[red // grid**2]
            frame[: LINE - 4, :30] = COLORS[red // grid**2]  # the tag
            assert (frame == COLORS[red // grid**2]).all()
            inside = cell[LINE:-FRAME, FRAME:-FRAME]
            assert (inside == (red, green, blue)).all()
    assert board.shape[0] == bottom + LINE  # the captions of the last row
    return shown


def greenish(board: np.ndarray, number: int) -> list[bool]:
    """Which of the images found have a green caption."""
    captions = board[-LINE:, GAP:].astype(int).reshape(LINE, number, -1, 3)
    return (captions[..., 1] - captions[..., 0] > 60).any(axis=(0, 2)).tolist()


def answer(model, monkeypatch, images, locations, seed: int = 3) -> torch.Tensor:
    """Have the model take the patches to be of these images and locations; its order."""
    patches = model.grid**2
    vectors = torch.eye(len(images) // patches)[torch.tensor(images)]
    logits = torch.eye(patches)[torch.tensor(locations)]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    monkeypatch.setattr(model, 'solve', lambda inputs, ids: (order, vectors, logits))
    return order


@pytest.mark.parametrize(('grid', 'size'), [(2, (40, 24)), (3, (32, 45)), (5, (40, 40))])
@pytest.mark.parametrize('number', [2, 8])
def test_perfect_answers_show_the_true_images(make_jigclu, monkeypatch, grid, size, number):
    model = make_jigclu(grid, size)
    images, locations = np.divmod(np.arange(number * grid**2), grid**2)
    order = answer(model, monkeypatch, images, locations)
    board = jigclu_board(model, plain(model, number), [*range(number)])
    assert board.dtype == np.uint8
    montages, origin, found = read(board, model)
    assert montages.ravel().tolist() == order.tolist()
    assert origin.ravel().tolist() == found.ravel().tolist() == [*range(number * grid**2)]
    assert greenish(board, number) == [True] * number


def test_wrong_answers_show_what_was_found(make_jigclu, monkeypatch):
    model = make_jigclu()
    images, locations = np.divmod(np.arange(16), 4)
    images[[1, 5]] = [1, 0]  # A2 and B2 are taken for each other's image
    locations[[8, 9]] = [1, 0]  # and C1 and C2 for each other's place
    answer(model, monkeypatch, images, locations)
    board = jigclu_board(model, plain(model, 4), [1, 2, 3, 4])
    found = read(board, model)[2]
    assert found.tolist() == [[0, 5, 2, 3], [4, 1, 6, 7], [9, 8, 10, 11], [12, 13, 14, 15]]
    captions = ['3 of 4 in place', '3 of 4 in place', '2 of 4 in place', 'restored']
    assert _captions(found, True) == captions
    together = ['3 of 4 together', '3 of 4 together', '4 of 4 together', '4 of 4 together']
    assert _captions(found, False) == together
    assert greenish(board, 4) == [False, False, False, True]
    # wrong are A2 and B2, and of the six beside them a third each, for their neighbors are equal
    assert _numbers(*model.solve(None, None)[1:], found) == [
        'images found: 1 of 4 restored',
        'located: 14 of 16 (chance 4.0)',
        'nearest patch is of the same image: 12.0 of 16 (chance 3.2)',
    ]


def test_found_images_stand_below_the_true_ones_whatever_their_order(make_jigclu, monkeypatch):
    model = make_jigclu()
    images, locations = np.divmod(np.arange(20), 4)
    for seed in range(5):  # the groups' numbers follow the order of the patches
        answer(model, monkeypatch, (images + seed) % 5, locations, seed)
        _, origin, found = read(jigclu_board(model, plain(model, 5), [*range(5)]), model)
        assert np.array_equal(origin, found)


@pytest.mark.parametrize('input_format', ['montage', 'small_patches', 'scaled_patches'])
def test_an_untrained_network(make_jigclu, input_format):
    model = make_jigclu(input_format=input_format)
    inputs, ids = plain(model, 3), ['a', 'b', 'c']
    montages, origin, found = read(jigclu_board(model, inputs, ids), model)
    with torch.no_grad():
        order, vectors, logits = model.solve(inputs, ids)
    assert montages.ravel().tolist() == order.tolist()
    assert origin.ravel().tolist() == [*range(12)]
    members = regrouping.put_together(vectors[order].numpy(), logits[order].numpy())
    expected = order[torch.from_numpy(members)]
    assert sorted(map(tuple, expected.tolist())) == sorted(map(tuple, found.tolist()))


def test_a_collapsed_network_is_not_shown_as_a_perfect_one(make_jigclu, monkeypatch):
    model = make_jigclu()
    answer(model, monkeypatch, np.zeros(16, int), np.zeros(16, int))
    found = read(jigclu_board(model, plain(model, 4), [1, 2, 3, 4]), model)[2]
    assert not regrouping.restored(found, np.arange(16)).any()


def test_groups_without_a_location_branch(make_jigclu, monkeypatch):
    model = make_jigclu(beta=0)
    assert model.solve(plain(model, 3), [1, 2, 3])[2] is None
    images = np.arange(12) // 4
    images[[0, 11]] = [2, 0]
    answer(model, monkeypatch, images, np.arange(12) % 4)
    order, vectors, _ = model.solve(None, None)
    monkeypatch.setattr(model, 'solve', lambda inputs, ids: (order, vectors, None))
    found = read(jigclu_board(model, plain(model, 3), [1, 2, 3]), model, (1, 1, 2))[2]
    assert [sorted(group) for group in found] == [[1, 2, 3, 11], [4, 5, 6, 7], [0, 8, 9, 10]]
    # wrong are the two that were exchanged, and of the six beside them a third each
    assert _numbers(vectors, None, found) == [
        'groups found, in no order: the head has no location branch',
        'nearest patch is of the same image: 8.0 of 12 (chance 3.3)',
    ]


def test_the_patches_keep_their_pixels(make_jigclu):
    side = TILE // 2 - 2 * FRAME  # what a frame leaves, so that nothing is resized
    model = make_jigclu(
        2,
        (2 * side, 2 * side),
        data_preprocessor=dict(
            type='PoseDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
        ),
    )
    images = np.random.RandomState(0).randint(0, 256, (2, 4 * side, side, 3), dtype=np.uint8)
    inputs = [torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1) for image in images]
    data = model.data_preprocessor({'inputs': inputs, 'data_samples': []}, False)
    board = jigclu_board(model, data['inputs'], [1, 2])
    top = (GAP + LINE + TILE) + GAP + LINE  # of the row with the true origin
    for image, place in np.ndindex(2, 4):
        y = top + place // 2 * TILE // 2 + FRAME
        x = GAP + image * (TILE + GAP) + place % 2 * TILE // 2 + FRAME
        drawn = board[y : y + side, x : x + side]
        own = images[image, place * side : (place + 1) * side]
        assert np.array_equal(drawn[LINE:], own[LINE:])


def test_colors_of_eight_images_are_far_apart():
    lab = cv2.cvtColor(np.array([COLORS], np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    apart = np.linalg.norm(lab[:, None] - lab, axis=2) + 100 * np.eye(8)
    assert len(COLORS) == 8 and apart.min() > 30


@pytest.mark.parametrize('number', [1, 9])
def test_a_board_has_two_to_eight_images(make_jigclu, number):
    model = make_jigclu()
    with pytest.raises(ValueError, match=f'{number} images: a board of JigClu shows 2 to 8'):
        jigclu_board(model, plain(model, number), [*range(number)])
