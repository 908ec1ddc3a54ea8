"""Bounds of what crops can show, by hand and against many draws of the pipelines themselves."""

import math

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from hsjp_mm.datasets import encoded_images
from hsjp_mm.datasets.encoded_images import EncodedImage
from hsjp_mm.datasets.store import Cut, UnknownReachError, find_reach
from hsjp_mm.datasets.transforms import mesh, segments, topdown, views
from hsjp_mm.ops.seeds import seed_generators

IMAGE = (300, 200)
BOX = np.array([[100, 60, 160, 150]], np.float32)
SIDES = np.array([[60.0, 90.0]])
FIRST = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpose')


def test_a_crop_by_hand():
    """A box of 60×90, padded to 80×120, in a square crop of 40 is 120×120."""
    cut = Cut((40, 40), padding=4 / 3)
    np.testing.assert_allclose(cut.extents(SIDES), [[60, 60]])
    np.testing.assert_allclose(cut.magnifications(SIDES), [1 / 3])
    turned = Cut((40, 40), padding=4 / 3, scale=(0.5, 1.5), rotate=30)
    side = 180 * (math.cos(math.pi / 6) + 0.5) / 2
    np.testing.assert_allclose(turned.extents(SIDES), [[side, side]])
    np.testing.assert_allclose(turned.magnifications(SIDES), [2 / 3])
    moved = Cut((40, 40), padding=4 / 3, box_shift=0.1, crop_shift=0.5)
    np.testing.assert_allclose(moved.extents(SIDES), [[60 + 8 + 60, 60 + 12 + 60]])


def test_the_worst_rotation_is_before_the_largest():
    """A crop of 30×40 is widest, 50, turned by 53°; by up to 90° no more."""
    for rotate in (53.14, 90):
        np.testing.assert_allclose(
            Cut((3, 4), rotate=rotate).extents(np.array([[30.0, 40.0]])), [[25, 25]], rtol=1e-6
        )


def shown(pipeline, draws: int, monkeypatch) -> tuple[np.ndarray, float]:
    """The largest distances from the box's center that crops show, and the largest magnification.

    Taken from the matrices with which the pipeline cuts.
    """
    found = []

    def warp(image, matrix, size):
        found.append((matrix, size))
        return np.zeros((size[1], size[0], 3), np.uint8)

    for module in (topdown, views, mesh, segments):
        monkeypatch.setattr(module, 'warp_image', warp)
    far, most = np.zeros(2), 0.0
    for draw in range(draws):
        seed_generators('reach', draw)
        found.clear()
        image = EncodedImage(b'', 'a.jpg', IMAGE, (False, False))
        sample = pipeline({
            'img': image, 'img_shape': IMAGE[::-1], 'bbox': BOX.copy(), 'id': draw,
            'bbox_score': np.ones(1, np.float32),
        })  # fmt: skip
        center = (BOX[0, :2] + BOX[0, 2:]) / 2
        if sample.get('flip'):
            center = np.array([IMAGE[0] - 1 - center[0], center[1]])
        for matrix, size in found:
            right, bottom = size[0] - 1, size[1] - 1
            corners = np.array([[[0, 0], [right, 0], [0, bottom], [right, bottom]]], float)
            points = cv2.transform(corners, cv2.invertAffineTransform(np.array(matrix, float)))[0]
            far = np.maximum(far, np.abs(points - center).max(axis=0))
            most = max(most, np.linalg.norm(matrix[:, :2], 2))
    return far, most


AFFINE = dict(type='hsjp_mm.InputAffine', input_size=(192, 256))
FLIP = dict(type='RandomFlip', direction='horizontal', prob=0.5)
PIPELINES = {
    'plain': ([AFFINE], 1, 0.99),
    'stock': ([FLIP, dict(type='RandomBBoxTransform'), AFFINE], 3000, 0.75),
    'shifts': (
        [dict(type='RandomBBoxTransform', shift_prob=1.0, scale_prob=0.0, rotate_prob=0.0), AFFINE],
        500, 0.95,
    ),
    'turns': (
        [
            dict(type='RandomBBoxTransform', shift_prob=0.0, scale_prob=0.0, rotate_prob=1.0),
            dict(type='hsjp_mm.InputAffine', input_size=(256, 192), use_udp=True),
        ],
        500, 0.98,
    ),
    'shear': ([dict(type='hsjp_mm.TopdownShearAffine', input_size=(192, 256))], 500, 0.95),
    'windows': (
        [dict(type='hsjp_mm.MakeViews', views=[
            dict(size=(64, 48), num=2, area=(0.2, 1), rotate=30, flip_prob=0.5),
        ])],
        2000, 0.85,
    ),
    'centered views': (
        [dict(type='hsjp_mm.MakeViews', views=[
            dict(size=(64, 64), side=(0.6, 1.4), shift=0.1, rotate=45),
            dict(size=(48, 64), area=(0.1, 0.3)),
        ])],
        2000, 0.85,
    ),
    'segments': (
        [
            dict(type='hsjp_mm.SegmentCrop', segments=dict(method='grid')),
            dict(type='hsjp_mm.MakeViews', views=[dict(size=(64, 64), side=(1, 1))]),
        ],
        1, 0.98,
    ),
    'mesh': ([dict(type='hsjp_mm.MeshAffine', input_size=(64, 64))], 1, 0.98),
}  # fmt: skip


@pytest.mark.parametrize('name', PIPELINES)
@pytest.mark.slow
def test_no_draw_goes_beyond_and_some_come_near(name, monkeypatch):
    steps, draws, near = PIPELINES[name]
    pipeline = Compose([*FIRST, *steps])
    reach = find_reach(pipeline.transforms)
    far, most = shown(Compose([FIRST[1], *steps]), draws, monkeypatch)
    bound = reach.extents(SIDES)[0]
    assert (far <= bound + 1e-3).all()
    assert (far >= near * bound - 1).all()
    largest = reach.magnifications(SIDES)[0]
    assert near * 0.8 * largest <= most <= largest * (1 + 1e-3)


def test_mesh_augmentation_stays_within_its_bound(monkeypatch):
    step = dict(type='hsjp_mm.RandomMeshAffine', input_size=(64, 48), shift_factor=0.1)
    pipeline = Compose([FIRST[1], {**step, 'flip_prob': 0.0, 'rotate_prob': 0.0}])
    reach = find_reach(pipeline.transforms)
    far, most = shown(pipeline, 500, monkeypatch)
    assert (far <= reach.extents(SIDES)[0] + 1e-3).all()
    assert most <= reach.magnifications(SIDES)[0] * (1 + 1e-3)


def test_a_transform_of_unknown_reach_is_named():
    steps = Compose([*FIRST, dict(type='RandomHalfBody'), AFFINE]).transforms
    with pytest.raises(UnknownReachError, match=r'RandomHalfBody in the pipeline .+ say by margin'):
        find_reach(steps)

    class Wider(topdown.InputAffine):
        """May cut anything."""

    with pytest.raises(UnknownReachError, match='Wider in the pipeline'):
        find_reach([Wider(input_size=(9, 9))])


def test_a_pipeline_without_a_crop():
    steps = Compose(FIRST).transforms
    with pytest.raises(UnknownReachError, match=r'\(LoadImage, GetBBoxCenterScale\) cuts no crop'):
        find_reach(steps)
    assert encoded_images.warp_image is topdown.warp_image
