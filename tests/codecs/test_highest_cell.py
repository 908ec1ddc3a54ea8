import numpy as np
from mmpose.codecs import MSRAHeatmap
from mmpose.registry import KEYPOINT_CODECS

SIZES = dict(input_size=(256, 192), heatmap_size=(64, 48), sigma=1)


def test_decodes_to_the_highest_cell_and_no_finer():
    codec = KEYPOINT_CODECS.build(dict(type='hsjp_mm.HighestCell', **SIZES))
    maps = np.random.default_rng(0).uniform(0, 0.5, (3, 48, 64)).astype(np.float32)
    maps[0, 7, 20], maps[1, 47, 63] = 0.9, 0.8
    maps[2] = -1  # no positive cell: the stock mark for that
    points, scores = codec.decode(maps)
    np.testing.assert_array_equal(points, [[[80, 28], [252, 188], [-4, -4]]])
    np.testing.assert_allclose(scores, [[0.9, 0.8, -1]])
    stock, _ = MSRAHeatmap(**SIZES).decode(maps)
    assert sorted(abs(stock - points)[0, 0]) == [1, 1]  # a quarter of a cell


def test_encodes_gaussians_of_the_papers_deviation():
    codec = KEYPOINT_CODECS.build(dict(type='hsjp_mm.HighestCell', **SIZES))
    keypoints = np.array([[[80.0, 28.0], [251.0, 191.0]]])
    encoded = codec.encode(keypoints, np.ones((1, 2)))
    y, x = np.mgrid[:48, :64]
    distance = (x - 20) ** 2 + (y - 7) ** 2
    expected = np.exp(-distance / 2)
    near = np.maximum(abs(x - 20), abs(y - 7)) <= 3
    np.testing.assert_allclose(encoded['heatmaps'][0], expected * near, atol=1e-6)
    points, _ = codec.decode(encoded['heatmaps'])
    np.testing.assert_array_equal(points[0, 0], keypoints[0, 0])
    assert abs(points - keypoints).max() <= 3
