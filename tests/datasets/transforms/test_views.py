import math

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine
from torchvision.transforms import RandomResizedCrop

from hsjp_mm.datasets import MakeViews, PackViews, set_views
from hsjp_mm.datasets.transforms.views import OUTSIDE, View, draw_matrix, expand
from hsjp_mm.ops.seeds import seed_generators

PLAIN = dict(size=(96, 128), area=(1.0, 1.0), ratio=(1.0, 1.0))
MOVED = dict(size=(96, 128), num=6, area=(0.3, 1.0), rotate=60.0, flip_prob=0.5)


def sample(height: int = 150, width: int = 200, **keys) -> dict:
    image = np.random.RandomState(0).randint(0, 256, (height, width, 3), np.uint8)
    results = {'img': image, 'id': 5, 'bbox': np.array([[50.0, 30, 130, 120]]), **keys}
    return GetBBoxCenterScale()(results)


def blob_sample() -> dict:
    """Four blobs of four colors on black, at the keypoints and in four segments."""
    points = np.array([[[80.0, 60], [105, 62], [82, 95], [104, 93]]])
    image = np.zeros((150, 200, 3), np.uint8)
    segments = np.zeros((75, 100), int)
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    for i, ((x, y), color) in enumerate(zip(points[0].astype(int), colors, strict=True)):
        cv2.circle(image, (int(x), int(y)), 5, color, -1)
        segments[int(y) // 2 - 3 : int(y) // 2 + 4, int(x) // 2 - 3 : int(x) // 2 + 4] = i + 1
    results = sample(
        keypoints=points,
        keypoints_visible=np.ones((1, 4), np.float32),
        flip_indices=[1, 0, 3, 2],
        segments=segments,
        segments_matrix=np.array([[0.5, 0, 0], [0, 0.5, 0]]),
    )
    return {**results, 'img': image, 'colors': colors}


# ------------------------------------------------------------------------------------- geometry


def test_a_view_of_the_whole_crop_is_the_stock_crop():
    stock = TopdownAffine(input_size=(96, 128))(sample())
    made = MakeViews([PLAIN])(sample())
    assert len(made['img']) == 1
    np.testing.assert_array_equal(made['img'][0], stock['img'])


@pytest.mark.parametrize('size', [(96, 96), (96, 128), (160, 64)])
def test_the_matrix_takes_the_crops_corners_where_the_formula_says(size):
    """A window of half the side, moved and turned by hand."""
    view = View(size=size, side=(0.5, 0.5), shift=0.2, rotate=30.0)
    center, box = np.array([90.0, 75]), np.array([100.0, 100])
    flip, matrix = draw_matrix(view, center, box, np.random.RandomState(3))
    assert not flip
    rng = np.random.RandomState(3)
    assert rng.uniform(0.5, 0.5) == 0.5
    offset = rng.uniform(-0.2, 0.2, 2)
    angle = math.radians(rng.uniform(-30, 30))
    # the crop: the box enlarged to the shape of the view
    aspect = size[0] / size[1]
    crop = np.array([100, 100 / aspect] if aspect < 1 else [100 * aspect, 100])
    scale = size[0] / (0.5 * crop[0])
    for point in ([90.0, 75], [60, 40], [130.0, 90]):
        x, y = scale * (np.array(point) - center - offset * crop)
        expected = (
            math.cos(angle) * x - math.sin(angle) * y + size[0] / 2,
            math.sin(angle) * x + math.cos(angle) * y + size[1] / 2,
        )
        np.testing.assert_allclose(matrix @ [*point, 1], expected, atol=1e-9)


def test_windows_are_those_of_random_resized_crop():
    """Means of share and ratio over many draws agree with torchvision's."""
    view = View(size=(100, 100), area=(0.2, 1.0))
    rng = np.random.RandomState(0)
    ours = []
    for _ in range(4000):
        _, matrix = draw_matrix(view, np.array([500.0, 500]), np.array([1000.0, 1000]), rng)
        width, height = 100 / matrix[0, 0], 100 / matrix[1, 1]
        left, top = -matrix[0, 2] / matrix[0, 0], -matrix[1, 2] / matrix[1, 1]
        assert left > -1e-6 and top > -1e-6 and left + width < 1000.001
        ours.append((width * height / 1e6, math.log(width / height), left, top))
    torch.manual_seed(0)
    theirs = []
    for _ in range(4000):
        top, left, height, width = RandomResizedCrop.get_params(
            torch.empty(3, 1000, 1000), (0.2, 1.0), (3 / 4, 4 / 3)
        )
        theirs.append((width * height / 1e6, math.log(width / height), left, top))
    ours, theirs = np.array(ours), np.array(theirs)
    spread = theirs.std(axis=0) * math.sqrt(2 / 4000)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4 * spread).all()
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.05)


def test_image_keypoints_and_segments_stay_together():
    """Each blob is found where its keypoint says, in the segment of its number."""
    results = blob_sample()
    seed_generators(1)
    made = MakeViews([MOVED])(results.copy())
    assert made['view_matrices'].shape == (6, 2, 3)
    seen = 0
    for view in range(6):
        flipped = np.linalg.det(made['view_matrices'][view][:, :2]) < 0
        for i, (x, y) in enumerate(made['view_keypoints'][view]):
            inside = 0 <= round(x) < 96 and 0 <= round(y) < 128
            assert made['view_keypoints_visible'][view, i] == inside
            if not inside:
                continue
            # a keypoint is another one in a flipped image
            source = results['flip_indices'][i] if flipped else i
            pixel = made['img'][view][round(y), round(x)].astype(int)
            assert np.abs(pixel - results['colors'][source]).max() < 60
            assert made['view_segments'][view][round(y), round(x)] == source + 1
            expected = made['view_matrices'][view] @ [*results['keypoints'][0, source], 1]
            np.testing.assert_allclose((x, y), expected, atol=1e-4)
            seen += 1
    assert seen >= 15
    assert {bool(np.linalg.det(m[:, :2]) < 0) for m in made['view_matrices']} == {True, False}


def test_a_flip_is_the_mirrored_picture():
    flipped = MakeViews([{**PLAIN, 'flip_prob': 1.0}])(sample())['img'][0]
    plain = MakeViews([PLAIN])(sample())['img'][0]
    assert np.abs(flipped[:, ::-1].astype(int) - plain).max() <= 2  # the interpolation's rounding


def test_what_lies_outside_is_no_segment_and_invisible():
    results = blob_sample()
    results['bbox_center'] = np.array([[180.0, 60]])
    made = MakeViews([PLAIN])(results)
    assert (made['view_segments'][0] == OUTSIDE).any()
    assert not made['view_keypoints_visible'].all()


# --------------------------------------------------------------------------------- random numbers


def test_with_a_seed_the_instance_alone_decides():
    views = [dict(size=(32, 32), num=2, area=(0.2, 1.0), flip_prob=0.5, colors={})]
    transform = MakeViews(views, seed=0)
    first = transform(sample())
    transform(sample(id=6))
    seed_generators(9)
    again = transform(sample())
    other = transform(sample(id=6))
    for one, two, three in zip(first['img'], again['img'], other['img'], strict=True):
        np.testing.assert_array_equal(one, two)
        assert not np.array_equal(one, three)
    assert not np.array_equal(first['img'][0], first['img'][1])


def test_without_one_numpys_generator_decides():
    transform = MakeViews([MOVED])
    seed_generators(4)
    one = transform(sample())['view_matrices']
    seed_generators(4)
    np.testing.assert_array_equal(one, transform(sample())['view_matrices'])
    assert not np.array_equal(one, transform(sample())['view_matrices'])


# ----------------------------------------------------------------------------------- packing


def test_packs_a_list_of_views_of_several_sizes():
    results = {**sample(), 'bbox_score': np.ones(1)}
    views = [PLAIN, {**PLAIN, 'size': (32, 64), 'num': 2}]
    packed = Compose([MakeViews(views), PackViews()])(results)
    assert [tuple(view.shape) for view in packed['inputs']] == [(3, 128, 96)] + 2 * [(3, 64, 32)]
    instances = packed['data_samples'].gt_instances
    assert instances.view_matrices.shape == (1, 3, 2, 3)
    np.testing.assert_allclose(instances.bbox_centers, [[90, 75]])


def test_packs_keypoints_and_segments():
    results = {**blob_sample(), 'bbox_score': np.ones(1)}
    packed = Compose([MakeViews([MOVED]), PackViews()])(results)
    sample_ = packed['data_samples']
    assert sample_.gt_instances.view_keypoints.shape == (1, 6, 4, 2)
    assert sample_.gt_instances.view_keypoints_visible.shape == (1, 6, 4)
    assert sample_.gt_fields.view_segments.shape == (6, 128, 96)


def test_segments_of_several_sizes_are_refused():
    results = {**blob_sample(), 'bbox_score': np.ones(1)}
    views = [PLAIN, {**PLAIN, 'size': (32, 64)}]
    with pytest.raises(ValueError, match='views of one size'):
        Compose([MakeViews(views), PackViews()])(results)


# ------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ('view', 'message'),
    [
        ({}, 'give area=None or side=None'),
        (dict(area=(0.1, 1), side=(1, 1)), 'one of them'),
        (dict(area=(0, 1)), r'area=\(0, 1\)'),
        (dict(area=(0.5, 1.5)), 'range in'),
        (dict(area=(0.5, 1), ratio=(2, 1)), 'ratio='),
        (dict(side=(0, 1)), 'side='),
        (dict(side=(1, 1), shift=-1), 'shift=-1'),
        (dict(area=(0.5, 1), shift=0.1), 'shift=0.1 is for side'),
        (dict(side=(1, 1), ratio=(1, 2)), 'is for area'),
        (dict(side=(1, 1), flip_prob=2), 'flip_prob=2'),
        (dict(side=(1, 1), num=0), 'num=0'),
        (dict(side=(1, 1), angle=3), 'unknown angle; known are size, num'),
    ],
)
def test_wrong_views_are_refused(view, message):
    with pytest.raises(ValueError, match=message):
        expand([dict(size=(32, 32), **view)])
    with pytest.raises(ValueError, match=r'size=0\.5 must be \(width, height\)'):
        expand([dict(size=0.5, area=(0.5, 1))])


def test_views_are_the_models():
    dataset = type('Data', (), {'pipeline': Compose([MakeViews()])})()
    assert set_views(dataset, [PLAIN]) == 1
    assert len(dataset.pipeline(sample())['img']) == 1
    stating = type('Data', (), {'pipeline': Compose([MakeViews([PLAIN])])})()
    with pytest.raises(ValueError, match=r'model\.views'):
        set_views(stating, [PLAIN])
    with pytest.raises(RuntimeError, match='PrepareDataHook'):
        MakeViews()(sample())


def test_a_sample_without_id_or_flip_indices_is_refused():
    nameless = sample()
    del nameless['id']
    with pytest.raises(ValueError, match="'id'"):
        MakeViews([PLAIN], seed=0)(nameless)
    results = blob_sample()
    del results['flip_indices']
    with pytest.raises(ValueError, match='flip_indices'):
        MakeViews([{**PLAIN, 'flip_prob': 1.0}])(results)
