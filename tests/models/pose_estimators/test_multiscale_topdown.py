"""Pyramids of crops, from the image to the person's keypoints in its pixels.

The network reads its answer from the image: each color channel is the heat of one keypoint, at the
places that the codec says its cells look at. So whatever moves a crop or its map moves the person.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.dataset import Compose, pseudo_collate
from mmpose.registry import MODELS
from scipy.ndimage import map_coordinates
from torch import nn

from hsjp_mm.datasets.transforms.pyramid import SIX_SCALES

SIZE, CELLS = (96, 128), (24, 32)  # width, height of the crops and of the heat maps
CODECS = {
    'msra': dict(type='MSRAHeatmap', sigma=1),
    'dark': dict(type='MSRAHeatmap', sigma=2, unbiased=True),
    'highest': dict(type='hsjp_mm.HighestCell', sigma=1),
    'megvii': dict(type='MegviiHeatmap', kernel_size=5),
    'udp': dict(type='UDPHeatmap', sigma=2),
}
FLIP_INDICES = [1, 0, 2]


@MODELS.register_module()
class CropItself(nn.Module):
    """The pixels that the codec's cells look at."""

    def __init__(self, codec: str):
        super().__init__()
        self.codec = codec

    def forward(self, x):
        x = x / 255
        if self.codec == 'udp':
            return (F.interpolate(x, CELLS[::-1], mode='bilinear', align_corners=True),)
        first = 2 if self.codec == 'megvii' else 0
        return (x[..., first::4, first::4],)


@MODELS.register_module()
class Scramble(nn.Module):
    """A network that finds something everywhere."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3), nn.ReLU(), nn.Conv2d(8, 3, 5, 2, 2), nn.BatchNorm2d(3)
        )

    def forward(self, x):
        return (self.layers(x / 99),)


def model(codec: str, flip: bool = False, kind: str = 'hsjp_mm.MultiscaleTopdown', **options):
    backbone = dict(type='CropItself', codec=codec)
    return MODELS.build(
        dict(
            type=f'{kind}PoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor'),
            backbone=options.pop('backbone', backbone),
            head=dict(
                type='HeatmapHead', in_channels=3, out_channels=3, deconv_out_channels=None,
                final_layer=None,
                decoder=dict(**CODECS[codec], input_size=SIZE, heatmap_size=CELLS),
            ),
            test_cfg=dict(flip_test=flip, shift_heatmap=codec not in ('udp', 'megvii'), **options),
        )
    ).eval()  # fmt: skip


def picture(
    points: np.ndarray, width: int = 230, height: int = 210, sigma: float = 8
) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    heat = [np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * sigma**2)) for u, v in points]
    return (255 * np.stack(heat, axis=2)).round().astype(np.uint8)


def sample(image, center, scale, number: int = 0, flip_indices=FLIP_INDICES) -> dict:
    return {
        'img': image.copy(), 'img_shape': image.shape[:2], 'ori_shape': image.shape[:2],
        'id': number, 'img_id': number, 'flip_indices': list(flip_indices),
        'bbox': np.zeros((1, 4), np.float32), 'bbox_score': np.ones(1, np.float32),
        'bbox_center': np.array([center], np.float32),
        'bbox_scale': np.array([scale], np.float32),
    }  # fmt: skip


def persons(number: int) -> tuple[list[dict], np.ndarray]:
    """Samples with boxes of several places and sizes, and their keypoints (B, 3, 2)."""
    rng = np.random.default_rng(1)
    samples, truth = [], []
    for index in range(number):
        center, height = rng.uniform(95, 115, 2), rng.uniform(110, 170)
        points = center + rng.uniform(-0.22, 0.22, (3, 2)) * height * [0.75, 1]
        samples.append(sample(picture(points), center, (0.75 * height, height), index, [0, 1, 2]))
        truth.append(points)
    return samples, np.array(truth)


def pyramid(samples: list[dict], scales=SIX_SCALES, use_udp: bool = False) -> dict:
    crop = dict(type='hsjp_mm.TopdownPyramid', input_size=SIZE, scales=scales, use_udp=use_udp)
    steps = Compose([crop, dict(type='hsjp_mm.PackImagePyramid')])
    return pseudo_collate([steps({**one}) for one in samples])


def single(samples: list[dict], use_udp: bool = False) -> dict:
    crop = dict(type='TopdownAffine', input_size=SIZE, use_udp=use_udp)
    steps = Compose([crop, dict(type='PackPoseInputs')])
    return pseudo_collate([steps({**one}) for one in samples])


def keypoints(predictions: list) -> np.ndarray:
    return np.concatenate([one.pred_instances.keypoints for one in predictions])


# ------------------------------------------------------------------------------ single scale


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('codec', CODECS)
def test_one_scale_is_the_stock_estimators_prediction(codec, flip):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, 210, 230, 3), dtype=np.uint8)
    samples = [
        sample(image, (100 + 9 * i, 95), (90 + 20 * i, 120), i) for i, image in enumerate(noise)
    ]
    use_udp = codec == 'udp'
    network = dict(type='Scramble')
    stock = model(codec, flip, 'Topdown', backbone=network)
    mine = model(codec, flip, backbone=network)
    expected = stock.test_step(single(samples, use_udp))
    for data in (pyramid(samples, (1,), use_udp), single(samples, use_udp)):
        found = mine.test_step(data)
        np.testing.assert_allclose(keypoints(found), keypoints(expected), rtol=1e-6)
        for one, other in zip(found, expected, strict=True):
            scores = (one.pred_instances.keypoint_scores, other.pred_instances.keypoint_scores)
            np.testing.assert_allclose(*scores, rtol=1e-6)
    assert np.ptp(keypoints(expected), axis=0).min() > 1  # not all in one place
    mine.val_step(pyramid(samples, (1,), use_udp))


# ----------------------------------------------------------------- several scales, one frame


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('scales', [SIX_SCALES, (0.7, 0.85), (1.6, 2), (2, 0.6, 1)])
@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.slow
def test_persons_are_found_where_they_are(codec, scales, flip):
    """In cells of scale 1, which are 3.4 to 5.3 pixels wide."""
    samples, truth = persons(12)
    cell = np.array([one['bbox_scale'][0, 1] / CELLS[1] for one in samples])[:, None, None]
    data = pyramid(samples, scales, codec == 'udp')
    error = (keypoints(model(codec, flip).test_step(data)) - truth) / cell
    if flip and codec != 'udp':
        # The cells of a flipped crop look at pixel 4·i − 1, with stock's shift by a whole cell, and
        # those of the crop at 4·i: in the mean it is an eighth of a cell of each scale.
        error[..., 0] -= np.mean(scales) / 8
    within = 0.2 if codec in ('dark', 'udp') else 0.5 * max(1, *scales)  # between the cells, or not
    assert np.abs(error).max() < within
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.1


def test_a_batch_is_as_its_persons_alone():
    samples, _ = persons(3)
    network = model('msra', True)
    together = keypoints(network.test_step(pyramid(samples)))
    alone = [keypoints(network.test_step(pyramid([one])))[0] for one in samples]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.parametrize('codec', ['msra', 'udp', 'highest'])
def test_the_average_is_that_of_a_slow_reference(codec):
    """Each cell of the frame asks each crop's map at its own place in the image."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (210, 230, 3), dtype=np.uint8)
    person = sample(image, (110, 100), (90, 120))
    scales, use_udp = (0.8, 1.3, 1), codec == 'udp'
    network = model(codec, backbone=dict(type='Scramble'), output_heatmaps=True)
    (found,) = network.test_step(pyramid([person], scales, use_udp))
    maps = []
    for scale in scales:
        scaled = {**person, 'bbox_scale': person['bbox_scale'] * scale}
        (one,) = network.test_step(single([scaled], use_udp))
        maps.append(one.pred_fields.heatmaps.numpy())
    height, width = found.pred_fields.heatmaps.shape[1:]
    assert (width, height) == CELLS
    across = np.array(CELLS) - use_udp  # cells in the crop's extent
    cells = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2)
    places = (cells / across - 0.5) * [90, 120]  # from the center, in pixels of the image
    expected = np.zeros((3, height, width))
    for scale, one in zip(scales, maps, strict=True):
        source = (places / (scale * np.array([90, 120])) + 0.5) * across
        for heat, sum_ in zip(one, expected, strict=True):
            sum_ += map_coordinates(
                heat, np.moveaxis(source, 2, 0)[::-1], order=1, mode='grid-constant'
            ) / len(scales)  # fmt: skip
    np.testing.assert_allclose(found.pred_fields.heatmaps.numpy(), expected, atol=1e-5)


def test_a_joint_that_the_annotated_box_cuts_off_is_found():
    """The box is a third too small, so one keypoint is in the two largest crops only."""
    truth = np.array([[100.0, 100], [112, 88], [100, 158]])
    person = sample(picture(truth, sigma=3), (100, 100), (76.5, 102), flip_indices=[0, 1, 2])
    network = model('highest', flip=True)
    alone = keypoints(network.test_step(single([person])))[0]
    assert np.abs(alone[:2] - truth[:2]).max() < 3
    assert abs(alone[2, 1] - truth[2, 1]) > 9  # the crop ends at 151
    (found,) = network.test_step(pyramid([person]))
    assert np.abs(found.pred_instances.keypoints[0] - truth).max() < 3
    scores = found.pred_instances.keypoint_scores[0]
    assert scores[2] == pytest.approx(2 / 6, abs=0.05) and scores[0] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize('box', [0.6, 1.0, 1.7])
def test_one_good_scale_decides_when_the_annotated_one_is_wrong(box):
    """A network that knows persons of one size sees nothing at most scales."""
    samples, truth = persons(3)
    for one in samples:
        one['bbox_scale'] *= box
    network = model('highest')

    def picky(crops, *args):
        """Keep heat only where dots have the size that they have in right boxes."""
        size = (crops > 128).float().sum(dim=(2, 3), keepdim=True)  # in pixels of the crop
        return ((crops * ((size > 140) & (size < 430)))[..., ::4, ::4],)

    network.backbone.forward = picky
    found = keypoints(network.test_step(pyramid(samples, (0.6, 1.0, 1.7))))
    assert np.abs(found - truth).max() < 6
    alone = np.abs(keypoints(network.test_step(single(samples))) - truth).max(axis=(1, 2))
    assert (alone < 6).all() if box == 1 else (alone > 20).all()


def test_keypoints_can_be_chosen_and_maps_given():
    samples, truth = persons(2)
    network = model('highest', output_keypoint_indices=[2, 0], output_heatmaps=True)
    found = network.test_step(pyramid(samples))
    assert np.abs(keypoints(found) - truth[:, [2, 0]]).max() < 3
    for one in found:
        maps = one.pred_fields.heatmaps
        assert maps.shape == (2, *CELLS[::-1])
        row, column = divmod(int(maps[0].argmax()), CELLS[0])
        cell = np.array([column, row]) / CELLS * one.input_scale
        place = cell + one.input_center - 0.5 * one.input_scale
        assert np.abs(place - one.pred_instances.keypoints[0, 0]).max() < 3.5


def test_the_models_metainfo_overrides_the_data_sets():
    """As in stock: a data set of fewer keypoints has flips that do not fit the maps."""
    samples, truth = persons(1)
    samples[0]['flip_indices'] = [0, 1]
    network = model('highest', flip=True)
    keypoint_info = {i: dict(name=str(i), swap='') for i in range(3)}
    network.metainfo = network._load_metainfo(
        dict(
            dataset_name='x', keypoint_info=keypoint_info, skeleton_info={}, joint_weights=[1] * 3,
            sigmas=[1] * 3,
        )
    )  # fmt: skip
    assert np.abs(keypoints(network.test_step(pyramid(samples))) - truth).max() < 3


# ------------------------------------------------------------------- what does not fit


def test_other_codecs_are_refused():
    for codec, message in (
        (dict(type='UDPHeatmap', heatmap_type='combined'), "UDPHeatmap with .*='combined'"),
        (None, 'got NoneType'),
    ):
        head = dict(type='HeatmapHead', in_channels=3, out_channels=3, decoder=codec)
        if codec:
            codec.update(input_size=SIZE, heatmap_size=CELLS)
        config = dict(
            type='hsjp_mm.MultiscaleTopdownPoseEstimator', head=head,
            backbone=dict(type='CropItself', codec='msra'),
        )  # fmt: skip
        with pytest.raises(ValueError, match=message):
            MODELS.build(config)


def test_scales_of_a_batch_must_agree():
    samples, _ = persons(2)
    data = pyramid(samples, (1, 2))
    data['data_samples'][1].set_metainfo(dict(aug_scales=(1, 3)))
    with pytest.raises(ValueError, match='must have the same scales, got'):
        model('msra').test_step(data)
