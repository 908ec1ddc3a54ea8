import copy

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS
from mmengine.runner import set_random_seed

from hsjp_mm.datasets.densepose import UVSymmetry
from hsjp_mm.ops.part_labels import CHART_MIRROR, DENSEPOSE_PARTS, IGNORED, mirrored
from tests.dense_bodies import CHART_OF, PLAIN_PARTS, gray_of

SIZE = (96, 128)
NAME_OF = {chart: name for name, chart in CHART_OF.items()}


def dataset(folder, kind: str, flip: float = 0.0, **augmentation):
    steps = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
    if flip:
        steps.append(dict(type='RandomFlip', prob=flip, direction='horizontal'))
    if augmentation:
        steps.append(dict(type='RandomBBoxTransform', **augmentation))
    steps += [dict(type='hsjp_mm.TopdownDenseAffine', input_size=SIZE), dict(type='PackPoseInputs')]
    ann_file, cls = {
        'plain': ('parts.json', 'PartMaskDataset'),
        'masks': ('densepose.json', 'PartMaskDataset'),
        'points': ('densepose.json', 'DensePoseDataset'),
    }[kind]
    return DATASETS.build(
        dict(
            type=f'hsjp_mm.{cls}', data_root=str(folder), ann_file=ann_file,
            data_prefix=dict(img='images'), pipeline=steps, test_mode=True,
        )
    )  # fmt: skip


def grays(parts) -> np.ndarray:
    return np.array([30, *(gray_of(p) if p in PLAIN_PARTS else 0 for p in parts)])


STRONG = dict(
    rotate_factor=60.0, scale_factor=(0.7, 1.3), shift_factor=0.2, rotate_prob=1.0, scale_prob=1.0,
    shift_prob=1.0,
)  # fmt: skip


@pytest.mark.parametrize('kind', ['plain', 'masks'])
@pytest.mark.parametrize('flip', [0.0, 1.0])
@pytest.mark.parametrize('augmentation', [{}, STRONG], ids=['plain crop', 'augmented'])
def test_masks_stay_with_the_image(dense_bodies, kind, flip, augmentation):
    """The gray of every pixel that is not on an edge is that of its part, and left stays left."""
    data = dataset(dense_bodies, kind, flip, **augmentation)
    parts = data.metainfo['parts']
    seen = set()
    for index in range(len(data)):
        set_random_seed(index)
        sample = data[index]
        image = sample['inputs'].numpy().transpose(1, 2, 0)[..., 0]
        labels = sample['data_samples'].gt_fields.part_labels.numpy()
        assert labels.shape == (1, SIZE[1], SIZE[0]) == (1, *image.shape)
        labels = labels[0]
        inside = labels != IGNORED
        own = grays(parts)[np.where(inside, labels, 0)]
        flat = cv2.erode((cv2.morphologyEx(image, cv2.MORPH_GRADIENT, np.ones((3, 3))) == 0)
                         .astype(np.uint8), np.ones((3, 3))) > 0  # fmt: skip
        assert (flat & inside).sum() > 3000
        assert (own == image)[flat & inside].mean() > 0.999
        seen |= set(np.unique(labels).tolist())
        # the person faces us: its right arm is on the left, unless the picture is turned over
        if not augmentation:
            columns = {
                side: np.flatnonzero(labels == parts.index(f'{side}_upper_arm') + 1) % SIZE[0]
                for side in ('left', 'right')
            }
            assert columns['right'].max() < columns['left'].min()
    assert {parts.index(name) + 1 for name in PLAIN_PARTS} <= seen


def test_a_flip_is_undone_by_a_flip(dense_bodies):
    """Labels of the flipped image, flipped back and swapped, are those of the image."""
    plain, flipped = (dataset(dense_bodies, 'plain', flip)[0] for flip in (0.0, 1.0))
    mirror = mirrored(PLAIN_PARTS)
    one, other = (s['data_samples'].gt_fields.part_labels.numpy()[0] for s in (plain, flipped))
    # the crop's middle is half a pixel beside that of its pixels: one column moves
    back = other[:, ::-1]
    back = np.where(back == IGNORED, IGNORED, mirror[np.where(back == IGNORED, 0, back)])
    assert max((np.roll(back, s, axis=1) == one).mean() for s in (-1, 0, 1)) > 0.97
    left, right = (PLAIN_PARTS.index(f'{side}_upper_arm') + 1 for side in ('left', 'right'))
    assert (other[:, ::-1][one == left] == right).mean() > 0.9  # before they are swapped back


@pytest.mark.parametrize('augmentation', [{}, STRONG], ids=['plain crop', 'augmented'])
def test_points_stay_with_masks_and_image(dense_bodies, augmentation):
    data = dataset(dense_bodies, 'points', **augmentation)
    counted = 0
    for index in range(len(data)):
        set_random_seed(index)
        sample = data[index]
        image = sample['inputs'].numpy()[0]
        labels = sample['data_samples'].gt_fields.part_labels.numpy()[0]
        given = sample['data_samples'].gt_instance_labels
        points, charts = given.dense_points[0].numpy(), given.dense_charts[0].numpy()
        assert points.shape == (18, 2) and given.dense_uv.shape == (1, 18, 2)
        for (x, y), chart in zip(points.round().astype(int), charts.tolist(), strict=True):
            if 0 <= x < SIZE[0] and 0 <= y < SIZE[1] and labels[y, x] != IGNORED:
                assert labels[y, x] == DENSEPOSE_PARTS.index(NAME_OF[chart]) + 1
                assert image[y, x] == gray_of(NAME_OF[chart])
                counted += 1
    assert counted > 40


def test_points_of_a_flipped_image_are_on_the_other_side(dense_bodies):
    """With tables that say u -> 1 - u and v -> v, which is not the real symmetry."""
    data = dataset(dense_bodies, 'points')
    step = data.pipeline.transforms[2]
    instance = data.get_data_info(0)
    for transform in data.pipeline.transforms[:2]:
        instance = transform(instance)
    plain = step.transform(copy.deepcopy(instance))
    v, u = np.meshgrid(np.arange(256) / 255, np.arange(256) / 255, indexing='ij')
    tables = np.stack([np.stack([1 - u] * 24), np.stack([v] * 24)]).astype(np.float32)
    turned = copy.deepcopy(instance)
    turned['img'] = turned['img'][:, ::-1].copy()
    width = turned['img'].shape[1]
    turned['bbox_center'][0, 0] = width - 1 - turned['bbox_center'][0, 0]
    turned.update(flip=True, flip_direction='horizontal', uv_symmetry=UVSymmetry(tables))
    flipped = step.transform(copy.deepcopy(turned))
    assert (flipped['dense_charts'] == CHART_MIRROR[plain['dense_charts']]).all()
    u, v = plain['dense_uv'][0].T
    steps = np.floor(u * 255) / 255, np.floor(v * 255) / 255
    np.testing.assert_allclose(flipped['dense_uv'][0, :, 0], 1 - steps[0], atol=1e-6)
    np.testing.assert_allclose(flipped['dense_uv'][0, :, 1], steps[1], atol=1e-6)
    # mirrored about the crop's middle, the box's center, which lies at half its width
    np.testing.assert_allclose(
        flipped['dense_points'][0, :, 0], SIZE[0] - plain['dense_points'][0, :, 0], atol=1e-3
    )
    np.testing.assert_allclose(
        flipped['dense_points'][0, :, 1], plain['dense_points'][0, :, 1], atol=1e-3
    )
    turned['uv_symmetry'] = None
    with pytest.raises(ValueError, match=r'UV_symmetry_transforms\.mat, or leave RandomFlip out'):
        step.transform(copy.deepcopy(turned))
    turned['flip_direction'] = 'vertical'
    with pytest.raises(ValueError, match="direction='vertical' must be horizontal"):
        step.transform(copy.deepcopy(turned))


def test_the_area_beside_the_image_has_no_label(dense_bodies):
    data = dataset(dense_bodies, 'plain')
    step = data.pipeline.transforms[2]
    instance = data.get_data_info(0)
    for transform in data.pipeline.transforms[:2]:
        instance = transform(instance)
    height, width = instance['img'].shape[:2]
    # a crop of twice the image's size around its middle: half of it, a quarter a side
    instance['bbox_center'] = np.array([[width / 2, height / 2]], np.float32)
    instance['bbox_scale'] = np.array([[2 * width, 2 * width * SIZE[1] / SIZE[0]]], np.float32)
    labels = step.transform(instance)['part_labels'][0]
    inside = labels != IGNORED
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    scale = SIZE[0] / (2 * width)
    assert abs(len(columns) - SIZE[0] / 2) <= 1
    assert abs(len(rows) - height * scale) <= 1
    assert inside.sum() == len(rows) * len(columns)
