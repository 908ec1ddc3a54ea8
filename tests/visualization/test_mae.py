import numpy as np
import pytest
import torch
from mmpose.structures import PoseDataSample

pytest.importorskip('mmpretrain')

from hsjp_mm.visualization import mae_boards
from hsjp_mm.visualization.mae import CAPTION, GAP, draw_mae
from hsjp_mm.visualization.pictures import TILE
from tests.models.pretext.test_mae import make_mae, vit

SIZE = (224, 168)
NORMALISE = dict(
    type='PoseDataPreprocessor',
    mean=[120.0, 110.0, 100.0],
    std=[50.0, 50.0, 50.0],
    bgr_to_rgb=True,
)


@pytest.fixture
def model():
    """The patches are 28 pixels high and wide, so that tiles are not resized."""
    backbone = vit(img_size=SIZE, patch_size=28, patch_cfg={})
    return make_mae(backbone, data_preprocessor=NORMALISE).eval()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (*SIZE, 3), dtype=np.uint8)


def crops_of(model, image: np.ndarray) -> torch.Tensor:
    bgr = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    data = {'inputs': [bgr], 'data_samples': [PoseDataSample()]}
    return model.data_preprocessor(data, False)['inputs']


def tiles(board: np.ndarray) -> list[np.ndarray]:
    height, width = SIZE
    return [
        board[CAPTION : CAPTION + height, GAP + i * (TILE + GAP) :][:, :width] for i in range(4)
    ]


def pieces(picture: np.ndarray) -> np.ndarray:
    """The patches of a picture by their places, (48, 28·28, 3)."""
    return picture.reshape(8, 28, 6, 28, 3).swapaxes(1, 2).reshape(48, -1, 3).astype(float)


def test_board_of_a_perfect_painting(model, image, monkeypatch):
    crops = crops_of(model, image)
    targets = model.head.targets(crops, model.draw_order(crops, [1])[:, model.num_visible :])
    monkeypatch.setattr(model, 'paint', lambda crops, order: targets)
    [board] = mae_boards(model, crops, [1])
    shown, masked, means, painted = map(pieces, tiles(board))
    assert board.dtype == np.uint8
    assert np.array_equal(shown, pieces(image))
    assert np.abs(painted - shown).max() <= 1
    hidden = np.isin(np.arange(48), model.draw_order(crops, [1])[0, model.num_visible :].numpy())
    for tile in (masked, means):
        assert np.array_equal(tile[~hidden], shown[~hidden])
    assert (masked[hidden] == [120, 110, 100]).all()
    # one value for a patch in the model's colors, so gray up to the means of the colors
    gray = means[hidden] - [120, 110, 100]
    assert np.abs(gray - gray.mean(axis=(1, 2), keepdims=True)).max() <= 1
    own = (shown[hidden] - [120, 110, 100]).mean(axis=(1, 2))
    assert np.abs(gray.mean(axis=(1, 2)) - own).max() <= 1


def test_a_board_for_each_instance_with_fixed_or_random_masks(model, image):
    crops = crops_of(model, image).expand(2, -1, -1, -1)
    samples = [PoseDataSample(metainfo={'id': i, 'img_path': f'{i}.jpg'}) for i in (3, 4)]
    torch.manual_seed(0)
    first, again = draw_mae(model, crops, samples, True), draw_mae(model, crops, samples, True)
    assert [name for name, _ in first] == ['instance 3 of 3.jpg', 'instance 4 of 4.jpg']
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0][1], first[1][1])
    one, other = (draw_mae(model, crops, samples, False)[0][1] for _ in range(2))
    assert not np.array_equal(one, other)
