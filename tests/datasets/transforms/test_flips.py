"""Against the stock RandomFlip itself."""

import numpy as np
import pytest
from mmpose.datasets.transforms import RandomFlip

from hsjp_mm.datasets.transforms.flips import refuse_flip, stock_flip


def flipped(direction: str) -> dict:
    image = np.zeros((30, 50, 3), np.uint8)
    image[4, 11] = 255
    results = {
        'img': image,
        'img_shape': (30, 50),
        'keypoints': np.array([[[11.0, 4.0]]]),
        'keypoints_visible': np.ones((1, 1)),
        'flip_indices': [0],
    }
    return RandomFlip(prob=1.0, direction=direction).transform(results)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_points_go_where_the_stock_flip_moves_pixels_and_keypoints(direction):
    results = flipped(direction)
    x, y, _ = stock_flip(results) @ [11, 4, 1]
    assert results['img'][int(y), int(x)].all()
    np.testing.assert_array_equal(results['keypoints'][0, 0], (x, y))


def test_without_a_flip_points_stay():
    for results in ({'img_shape': (30, 50)}, {'img_shape': (30, 50), 'flip': False}):
        np.testing.assert_array_equal(stock_flip(results), np.eye(3))
        refuse_flip(results, 'This', 'move it')


def test_a_flip_is_refused_by_name():
    with pytest.raises(ValueError, match=r'This stands after RandomFlip.+ labels: move it'):
        refuse_flip(flipped('horizontal'), 'This', 'move it')
