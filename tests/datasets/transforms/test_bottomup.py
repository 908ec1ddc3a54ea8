"""Crops of whole images, and their masks against what is painted_persons into the images."""

import cv2
import numpy as np
import pytest
import xtcocotools.mask as coco_mask
from mmengine import Config
from mmengine.registry import DATASETS
from mmpose.datasets.transforms import RandomFlip
from mmpose.datasets.transforms import bottomup_transforms as stock

from hsjp_mm.datasets import BottomupGetHeatmapMask, BottomupRandomAffine
from tests.helpers import ROOT

CONFIG = ROOT / 'configs/higherhrnet/coco/higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py'
STILL = dict(max_shift=0, scale_factor=(1, 1), rotate_factor=0)
SIZE = (96, 96)


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)  # noqa: NPY002, MMPose's transforms draw from it


def crop(width: int = 200, height: int = 120, **options) -> np.ndarray:
    """Where the crop shows the image's middle, and a point 10 pixels to its right."""
    middle = np.array([width / 2, height / 2], np.float32)
    results = dict(
        img=np.zeros((height, width, 3), np.uint8),
        img_shape=(height, width),
        keypoints=np.stack([middle, middle + np.float32([10, 0])])[None],
    )
    made = BottomupRandomAffine(SIZE, **{**STILL, **options}).transform(results)
    assert made['img'].shape == (96, 96, 3)
    return made['keypoints'][0]


@pytest.mark.parametrize('width, height', [(200, 120), (90, 300)])
@pytest.mark.parametrize('scale', [0.75, 1.5])
def test_shift_is_uniform_in_pixels_of_the_crop(width, height, scale):
    shifts = [
        crop(width, height, max_shift=20, scale_factor=(scale, scale))[0] - 48 for _ in range(400)
    ]
    assert np.abs(shifts).max() <= 20 + 1e-3
    # the deviation of a uniform number is its range / sqrt(3); trunc_norm's, which can be asked
    # for, would be 0.54 of the range
    np.testing.assert_allclose(np.std(shifts, axis=0), 20 / np.sqrt(3), rtol=0.06)
    np.testing.assert_allclose(np.mean(shifts, axis=0), 0, atol=2)
    assert abs(np.corrcoef(np.transpose(shifts))[0, 1]) < 0.15


def test_distribution_can_be_the_stock_one():
    shifts = [crop(max_shift=20, distribution='trunc_norm')[0] - 48 for _ in range(400)]
    np.testing.assert_allclose(np.std(shifts), 20 * 0.54, rtol=0.06)


@pytest.mark.parametrize('width, height', [(200, 120), (90, 300)])
@pytest.mark.parametrize('scale_type, pick', [('short', min), ('long', max)])
def test_side_is_a_uniform_share_of_the_images_side(width, height, scale_type, pick):
    sides = []
    for _ in range(300):
        middle, right = crop(width, height, scale_factor=(0.75, 1.5), scale_type=scale_type)
        np.testing.assert_allclose(middle, 48, atol=1e-3)
        sides.append(96 * 10 / np.linalg.norm(right - middle) / pick(width, height))
    assert 0.75 - 1e-4 < min(sides) < 0.76
    assert 1.49 < max(sides) < 1.5 + 1e-4
    np.testing.assert_allclose(np.std(sides), 0.375 / np.sqrt(3), rtol=0.08)


def test_rotation_is_uniform_in_degrees():
    turns = []
    for _ in range(300):
        middle, right = crop(rotate_factor=30)
        turns.append(np.rad2deg(np.arctan2(*(right - middle)[::-1])))
    assert 29 < np.abs(turns).max() <= 30 + 1e-3
    np.testing.assert_allclose(np.std(turns), 30 / np.sqrt(3), rtol=0.06)


def test_keypoints_stay_on_their_pixels():
    flip = RandomFlip()
    affine = BottomupRandomAffine(SIZE, max_shift=15)
    flipped = 0
    for _ in range(40):
        image = np.zeros((60, 90, 3), np.uint8)
        left, right = (50, 20), (35, 38)
        cv2.circle(image, left, 2, (255, 0, 0), -1)
        cv2.circle(image, right, 2, (0, 0, 255), -1)
        results = flip(
            affine(
                dict(
                    img=image,
                    img_shape=(60, 90),
                    keypoints=np.array([[left, right]], np.float32),
                    keypoints_visible=np.ones((1, 2), np.float32),
                    flip_indices=[1, 0],
                )
            )
        )
        flipped += results['flip']
        channels = (2, 0) if results['flip'] else (0, 2)  # the left one is then the other
        for point, channel in zip(results['keypoints'][0], channels, strict=True):
            y, x = np.nonzero(results['img'][..., channel] > 127)
            np.testing.assert_allclose(point, [x.mean(), y.mean()], atol=0.6)
    assert 10 < flipped < 30


def test_refuses_what_cannot_be():
    with pytest.raises(ValueError, match=r'input_size=\(96, 64\) must be a square'):
        BottomupRandomAffine((96, 64))
    with pytest.raises(ValueError, match='max_shift=-1 must not be negative'):
        BottomupRandomAffine(SIZE, max_shift=-1)


# ---- masks


def dataset(root, flip: float, **affine):
    """The data set with the family's own pipeline."""
    config = Config.fromfile(CONFIG).train_dataloader.dataset
    config.update(data_root=str(root), ann_file='persons.json', data_prefix=dict(img=''))
    config.pipeline[1].update(affine)
    config.pipeline[2].update(prob=flip)
    return DATASETS.build(config)


@pytest.mark.parametrize('flip', [0.0, 1.0])
@pytest.mark.parametrize('affine', [STILL, dict(rotate_factor=30, max_shift=100)])
def test_crowds_and_unlabelled_persons_are_masked_and_nothing_else_in_the_image(
    painted_persons, flip, affine
):
    made = dataset(painted_persons, flip, **affine)[0]
    image = made['inputs'].numpy()
    learnt = (image[2] < 128) & (image[1] > 127)  # neither red nor beyond the image
    assert 0.5 < learnt.mean() < 0.95
    fields = made['data_samples'].gt_fields
    assert [tuple(h.shape) for h in fields.heatmaps] == [(17, 128, 128), (17, 256, 256)]
    for mask, stride in zip(fields.heatmap_mask, (4, 2), strict=True):
        size = 512 // stride
        share = learnt.reshape(size, stride, size, stride).mean(axis=(1, 3))
        sure = abs(share - 0.5) > 0.45  # all but cells on an edge
        assert sure.mean() > 0.95
        np.testing.assert_array_equal(mask.reshape(size, size).numpy()[sure], share[sure] > 0.5)


@pytest.mark.slow
@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_targets_lie_on_the_person(painted_persons, flip):
    for _ in range(3):
        made = dataset(painted_persons, flip, max_shift=100)[0]
        blue = made['inputs'].numpy()[0] > 127
        sample = made['data_samples']
        # of each resolution, person and keypoint
        indices = sample.gt_instance_labels.keypoint_indices
        assert indices.shape == (2, 3, 17, 2)
        assert not indices[:, :2, :, 1].any()  # the crowd and the unlabelled person
        assert indices[0, 2, :, 1].sum() >= 1
        near = cv2.dilate(blue.astype(np.uint8), np.ones((9, 9), np.uint8))
        for index, heatmaps, size in zip(
            indices[:, 2], sample.gt_fields.heatmaps, (128, 256), strict=True
        ):
            stride = 512 // size
            for keypoint in index[:, 1].nonzero()[:, 0].tolist():
                y, x = divmod(int(index[keypoint, 0]), size)
                assert heatmaps[keypoint, y, x] == 1
                assert near[y * stride + stride // 2, x * stride + stride // 2]
            empty = index[:, 1] == 0
            assert not heatmaps[empty].any()


def test_images_without_keypoints_are_kept_and_those_without_persons_left_out(painted_persons):
    data = dataset(painted_persons, 0.0, **STILL)
    assert [data.get_data_info(i)['img_id'] for i in range(len(data))] == [1, 2]
    sample = data[1]['data_samples']
    assert not any(h.any() for h in sample.gt_fields.heatmaps)
    assert not sample.gt_instance_labels.keypoint_indices[..., 1].any()
    assert not all(mask.all() for mask in sample.gt_fields.heatmap_mask)


def runs(left: int, top: int, right: int, bottom: int, height: int = 10, width: int = 12) -> dict:
    """Run lengths of a rectangle as COCO's crowds have them: by columns, zeros first."""
    inside, outside = bottom - top, height - (bottom - top)
    counts = [left * height + top, *[inside, outside] * (right - left)]
    counts[-1] += height * (width - right) - top
    return dict(counts=counts, size=[height, width])


def test_every_kind_of_segmentation():
    packed = coco_mask.frPyObjects(runs(8, 0, 11, 2), 10, 12)
    text = dict(packed, counts=packed['counts'].decode())
    transform = BottomupGetHeatmapMask()
    expected = np.zeros((10, 12), np.uint8)
    np.testing.assert_array_equal(transform._segs_to_mask([], (10, 12)), expected)
    np.testing.assert_array_equal(
        transform._segs_to_mask([[], None, [[]], [[1, 1, 5, 5]]], (10, 12)), expected
    )
    expected[0:2, 8:11] = 1
    for segmentation in (packed, text):
        np.testing.assert_array_equal(transform._segs_to_mask([segmentation], (10, 12)), expected)
    expected[3:5, 2:7] = 1
    expected[6:9, 0:4] = 1
    mixed = [runs(2, 3, 7, 5), [[0, 6, 4, 6, 4, 9, 0, 9]], text]
    np.testing.assert_array_equal(transform._segs_to_mask(mixed, (10, 12)), expected)


def test_stock_mask_forgets_the_crowds():
    """Why there is a subclass; when this fails, it can go."""
    crowd = runs(2, 3, 7, 5)
    assert not stock.BottomupGetHeatmapMask()._segs_to_mask([crowd], (10, 12)).any()
