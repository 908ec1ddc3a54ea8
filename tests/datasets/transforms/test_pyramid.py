"""Letters as in the module under test."""

import itertools

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmpose.datasets.transforms import TopdownAffine

from hsjp_mm.datasets import BottomupResize, PackImagePyramid, TopdownPyramid

SIZES = [
    (640, 480), (480, 640), (640, 427), (427, 640), (500, 333), (333, 500), (612, 612), (641, 97),
    (1, 1), (3, 1), (20, 600), (1920, 1080),
]  # fmt: skip


def resized(image, **options) -> dict:
    return BottomupResize(**options)(dict(img=image, ori_shape=image.shape[:2]))


def padded_sizes(w: int, h: int, short: int, scales: list[float]) -> list[tuple[int, int]]:
    """Sizes at some scales, step by step: pads are counted up at the smallest scale."""
    smallest = min(scales)
    side = 64
    while side < short * smallest:
        side += 64
    other = 64
    while other < max(w, h) * side // min(w, h):
        other += 64
    W, H = (side, other) if w < h else (other, side)
    return [(round(W * s / smallest), round(H * s / smallest)) for s in scales]


@pytest.mark.parametrize('short, aug_scales', [(128, None), (128, [0.5, 2]), (192, [0.5]),
                                               (64, [3])])  # fmt: skip
def test_sizes_are_whole_pads_of_the_smallest_scale(short, aug_scales):
    for w, h in SIZES:
        image = np.zeros((h, w, 3), np.uint8)
        results = resized(image, input_size=(short, short), aug_scales=aug_scales)
        images = results['img'] if aug_scales else [results['img']]
        expected = padded_sizes(w, h, short, [1, *(aug_scales or [])])
        assert [image.shape[1::-1] for image in images] == expected
        assert tuple(results['input_size']) == expected[0] == tuple(results['img_shape'][::-1])
        assert all(side % 64 == 0 for size in expected for side in size)


def test_sizes_by_hand():
    image = np.zeros((480, 640, 3), np.uint8)
    sizes = [i.shape[:2] for i in resized(image, input_size=(512, 512), aug_scales=[0.5, 2])['img']]
    # at 0.5 the long side is 341 pixels, six pads of 64
    assert sizes == [(512, 768), (256, 384), (1024, 1536)]
    # 512·500/333 = 768.8 pixels are cut to 768 rather than padded to 832
    image = np.zeros((333, 500, 3), np.uint8)
    assert resized(image, input_size=(512, 512))['img'].shape == (512, 768, 3)


@pytest.mark.parametrize('w, h', [(97, 64), (64, 97), (50, 50)])
def test_scales_lie_on_each_other_and_keep_the_aspect_ratio(w, h):
    # a ramp along each axis, so that a pixel's value tells where it is from
    image = np.zeros((h, w, 3), np.uint8)
    image[..., 0], image[..., 1] = 2 * np.arange(w), 2 * np.arange(h)[:, None]
    results = resized(image, input_size=(128, 128), aug_scales=[0.5, 2])
    zoom = 128 / min(w, h)
    for one, scale in zip(results['img'], (1, 0.5, 2), strict=True):
        W, H = results['input_size']
        assert one.shape[:2] == (H * scale, W * scale)
        for x, y in itertools.product((0.3, 0.5, 0.7), repeat=2):  # shares of the image
            at = (np.array([(x - 0.5) * w, (y - 0.5) * h]) * zoom + (W / 2, H / 2)) * scale
            column, row = np.round(at).astype(int)
            rest = (np.array([column, row]) - at) / (zoom * scale)
            expected = 2 * (np.array([x * w, y * h]) + rest)
            np.testing.assert_allclose(one[row, column, :2], expected, atol=1)


def test_pyramids_are_packed_and_collated_by_scale():
    steps = [
        dict(type='hsjp_mm.BottomupResize', input_size=(64, 64), aug_scales=[2]),
        dict(type='hsjp_mm.PackImagePyramid', meta_keys=('input_size', 'flip_indices')),
    ]
    samples = [
        Compose(steps)(dict(img=np.full((h, w, 3), value, np.uint8), ori_shape=(h, w)))
        for w, h, value in ((9, 9, 5), (20, 9, 6))
    ]
    batch = pseudo_collate(samples)
    sizes = [[tuple(image.shape) for image in images] for images in batch['inputs']]
    assert sizes == [[(3, 64, 64), (3, 64, 192)], [(3, 128, 128), (3, 128, 384)]]
    for images in batch['inputs']:
        assert [int(image[0].max()) for image in images] == [5, 6]
        assert all(image.dtype == torch.uint8 for image in images)
    metas = [sample.metainfo for sample in batch['data_samples']]
    assert [meta['input_size'] for meta in metas] == [(64, 64), (192, 64)]
    assert metas[0]['aug_scales'] == [2]


@pytest.mark.parametrize('aug_scales', [[0.75], [2, 0.3], [0], [-1]])
def test_scales_that_cannot_be_padded_alike_are_refused(aug_scales):
    with pytest.raises(ValueError, match=r'aug_scales=\[.* multiples of the smallest'):
        BottomupResize((128, 128), aug_scales)


@pytest.mark.parametrize('w, h', [(1, 33), (330, 10)])
def test_an_endless_image_is_refused(w, h):
    with pytest.raises(ValueError, match=f'image of {w}×{h} pixels .* more than 32 times'):
        resized(np.zeros((h, w, 3), np.uint8), input_size=(64, 64))


# --- crops for top-down models ----------------------------------------------------------------


def crop_input() -> dict:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (12, 15, 3), dtype=np.uint8), (150, 120))
    return {
        'img': image, 'bbox_center': np.array([[70.0, 55]], np.float32),
        'bbox_scale': np.array([[60.0, 90]], np.float32), 'bbox_rotation': np.array([12.0]),
        'keypoints': np.array([[[70.0, 55], [90, 40]]], np.float32),
        'keypoints_visible': np.ones((1, 2), np.float32),
    }  # fmt: skip


@pytest.mark.parametrize('use_udp', [False, True])
def test_each_crop_is_the_stock_crop_of_a_scaled_box(use_udp):
    made = TopdownPyramid((48, 64), (1.5, 0.7, 1), use_udp)(crop_input())
    assert made['aug_scales'] == (1.5, 0.7, 1)
    for crop, scale in zip(made['img'], (1.5, 0.7, 1), strict=True):
        scaled = crop_input()
        scaled['bbox_scale'] *= scale
        assert np.array_equal(crop, TopdownAffine((48, 64), use_udp)(scaled)['img'])
    stock = TopdownAffine((48, 64), use_udp)(crop_input())
    for key in stock.keys() - {'img'}:
        assert np.array_equal(made[key], stock[key]), key
    assert not np.array_equal(made['img'][0], made['img'][2])


def test_metainfo_is_that_of_scale_1_even_if_it_is_not_among_them():
    made = TopdownPyramid((48, 64), (0.8, 1.3))(crop_input())
    stock = TopdownAffine((48, 64))(crop_input())
    for key in ('input_center', 'input_scale', 'input_size', 'bbox_scale'):
        assert np.array_equal(made[key], stock[key]), key
    packed = PackImagePyramid()(made)
    assert packed['data_samples'].aug_scales == (0.8, 1.3)
    for crop, tensor in zip(made['img'], packed['inputs'], strict=True):
        assert np.array_equal(tensor.numpy().transpose(1, 2, 0), crop)


@pytest.mark.parametrize('scales', [(), (1, 0), (-1,)])
def test_scales_that_cannot_be(scales):
    with pytest.raises(ValueError, match='must be positive numbers, one at least'):
        TopdownPyramid((48, 64), scales)
