"""Visibilities with and without weights beside them."""

import numpy as np
from mmpose.datasets.transforms import KeypointConverter

from hsjp_mm.ops.visibility import visibility


def test_it_is_the_same_before_and_after_a_stock_keypoint_converter():
    visible = np.array([[1, 0, 1], [0, 0, 1]], np.float32)
    converter = KeypointConverter(num_keypoints=3, mapping=[(0, 0), (1, 1), (2, 2)])
    converted = converter(
        dict(keypoints=np.zeros((2, 3, 2), np.float32), keypoints_visible=visible.copy())
    )['keypoints_visible']
    assert converted.ndim == 3  # weights stand beside them
    np.testing.assert_array_equal(visibility(converted), visible)
    np.testing.assert_array_equal(visibility(visible), visible)
