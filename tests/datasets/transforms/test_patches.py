import numpy as np
import pytest
import torch
from mmengine.dataset import RepeatDataset
from mmpose.datasets import CombinedDataset
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.models import PoseDataPreprocessor
from scipy.stats import ks_2samp
from torch.utils.data import DataLoader
from torchvision.transforms import RandomResizedCrop

from hsjp_mm.datasets import PatchAugmentation, PersonCropDataset, set_patches
from tests.datasets.transforms.test_color import OFF, augment, difference, noise, smooth


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(0)  # noqa: NPY002


# ---------------------------------------------------------------------------------------- patches

PLAIN = dict(scale=(1, 1), ratio=(1, 1), flip_prob=0, colors=OFF)  # nothing is drawn but squares


def coordinates(height: int, width: int) -> np.ndarray:
    """An image whose pixels hold their x and y."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(width), np.arange(height)[:, None]
    return image


def cut(
    image: np.ndarray, grid: int = 2, size: tuple[int, int] = (112, 112), times: int = 1, **options
) -> np.ndarray:
    """Patches (times, m², h, w, 3)."""
    augmentation = PatchAugmentation(**options)
    augmentation.set_patches(grid, size)
    columns = [augmentation({'img': image, 'id': i})['img'] for i in range(times)]
    return np.stack(columns).reshape(times, grid**2, size[1], size[0], 3)


def extent(made: np.ndarray) -> tuple[np.ndarray, ...]:
    """Which part of ``coordinates`` the patches show: left, top, right, bottom, each (times, m²).

    Exact for what has been enlarged, where OpenCV repeats the pixels at the border.
    """
    x, y = made[..., 0].astype(int), made[..., 1].astype(int)
    axes = (2, 3)
    return x.min(axes), y.min(axes), x.max(axes) + 1, y.max(axes) + 1


def flipped(made: np.ndarray) -> np.ndarray:
    return made[..., 0, 0, 0] > made[..., 0, -1, 0]


@pytest.mark.parametrize(
    ('grid', 'overlap', 'width', 'height', 'xs', 'ys', 'size'),
    [
        (2, 0.3, 200, 120, [0, 70], [0, 42], (130, 78)),
        (2, 0.6, 100, 150, [0, 20], [0, 30], (80, 120)),
        (2, 0.0, 50, 30, [0, 25], [0, 15], (25, 15)),
        (3, 0.1, 60, 90, [0, 18, 36], [0, 27, 54], (24, 36)),
    ],
)
def test_patches_are_the_regions_row_by_row(grid, overlap, width, height, xs, ys, size):
    image = np.random.RandomState(0).randint(0, 256, (height, width, 3), dtype=np.uint8)
    before = image.copy()
    whole = dict(PLAIN, ratio=(size[0] / size[1],) * 2)  # the crop is all of the patch
    made = cut(image, grid, size, overlap=overlap, **whole)[0]
    expected = [image[y : y + size[1], x : x + size[0]] for y in ys for x in xs]
    assert np.array_equal(made, expected)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(('grid', 'side'), [(2, 0.65), (3, 1.6 / 3)])
@pytest.mark.slow
def test_a_patch_shows_its_own_region_only(grid, side):
    left, top, right, bottom = extent(cut(coordinates(90, 150), grid, times=300, colors=OFF))
    for index in range(grid**2):
        row, column = divmod(index, grid)
        for low, high, place, length in (
            (left, right, column, 150), (top, bottom, row, 90)
        ):  # fmt: skip
            start = place * (side - 0.3) * length
            # the crops stay in the region, and together fill it
            assert low[:, index].min() == pytest.approx(start, abs=0.6)
            assert high[:, index].max() == pytest.approx(start + side * length, abs=0.6)


@pytest.mark.slow
def test_a_patch_is_augmented_on_its_own():
    made = cut(coordinates(90, 150), times=800, colors=OFF)
    left, top, right, bottom = extent(made)
    area = (right - left) * (bottom - top)
    for values in (area, left, top):
        off_diagonal = np.corrcoef(values.T)[~np.eye(4, dtype=bool)]
        assert np.abs(off_diagonal).max() < 0.12
    counts = np.bincount(flipped(made) @ [1, 2, 4, 8], minlength=16)
    assert ((counts - 50) ** 2 / 50).sum() < 30.6  # chi-square with 15 degrees, p = 0.01

    gray = np.full((90, 150, 3), 100, np.uint8)
    values = cut(gray, times=800)[..., 0, 0, 0].astype(float)
    assert np.abs(np.corrcoef(values.T)[~np.eye(4, dtype=bool)]).max() < 0.12
    assert values.std(axis=0).min() > 10


# -------------------------------------------------------------------- positions (table 7)


@pytest.mark.slow
def test_a_crop_before_the_split_is_shared_and_the_rest_is_not():
    options = dict(position='crop_before_split', size=(160, 160), times=400)
    made = cut(coordinates(90, 150), colors=OFF, **options)
    left, top, right, bottom = extent(made)
    for low, high, first, second in (
        (left, right, (0, 2), (1, 3)), (top, bottom, (0, 1), (2, 3))
    ):  # fmt: skip
        for values in (low, high):  # patches of a column or row show the same columns or rows
            assert np.array_equal(values[:, first[0]], values[:, first[1]])
            assert np.array_equal(values[:, second[0]], values[:, second[1]])
        crop = high[:, 3] - low[:, 0]
        np.testing.assert_allclose(high[:, 0] - low[:, 0], 0.65 * crop, rtol=0, atol=0.6)
        np.testing.assert_allclose(low[:, 3] - low[:, 0], 0.35 * crop, rtol=0, atol=0.6)
    share = (right[:, 3] - left[:, 0]) * (bottom[:, 3] - top[:, 0]) / (90 * 150)
    assert 0.18 < share.min() < 0.25
    assert 0.7 < share.max() < 0.82  # 4/3·90 of the 150 columns
    assert np.bincount(flipped(made) @ [1, 2, 4, 8], minlength=16).min() > 8
    gray = np.full((90, 150, 3), 100, np.uint8)
    assert (np.ptp(cut(gray, **options)[..., 0, 0, 0], axis=1) > 0).mean() > 0.9


def test_an_augmentation_before_the_split_is_shared():
    image = smooth(90, 150)
    made = cut(image, times=60, position='before_split')
    # one image of round(112/0.65) = 172 pixels: what neighbors have in common is the same
    assert np.array_equal(made[:, 0, :, 60:], made[:, 1, :, :52])
    assert np.array_equal(made[:, 2, :, 60:], made[:, 3, :, :52])
    assert np.array_equal(made[:, 0, 60:], made[:, 2, :52])
    after = cut(image, times=60)
    assert (difference(after[:, 0, :, 60:], after[:, 1, :, :52]).mean((1, 2, 3)) > 3).all()
    turned = flipped(cut(coordinates(90, 150), times=60, position='before_split', colors=OFF))
    assert np.array_equal(turned.any(axis=1), turned.all(axis=1))
    assert 15 < turned.all(axis=1).sum() < 45


# -------------------------------------------------------------------------------- the crop


@pytest.mark.slow
@pytest.mark.parametrize(('width', 'height'), [(146, 146), (146, 95), (60, 130)])
def test_crops_are_distributed_as_torchvisions(width, height):
    torch.manual_seed(0)
    number, options = 1500, dict(scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3))
    made = cut(
        coordinates(height, width), 1, (150, 150), number, flip_prob=0, colors=OFF, **options
    )
    left, top, right, bottom = (values[:, 0] for values in extent(made))
    image = torch.zeros(3, height, width)
    crops = [
        RandomResizedCrop.get_params(image, [*options['scale']], [*options['ratio']])
        for _ in range(number)
    ]
    y, x, h, w = np.array(crops).T
    for found, expected in (
        (left, x), (top, y), (right - left, w), (bottom - top, h),
        ((right - left) * (bottom - top), w * h), ((right - left) / (bottom - top), w / h),
    ):  # fmt: skip
        assert ks_2samp(found, expected).pvalue > 0.01


@pytest.mark.parametrize(('width', 'height'), [(12, 200), (200, 12), (7, 9), (1, 60), (50, 38)])
def test_what_fits_no_crop_becomes_the_middle_as_torchvisions(width, height):
    options = dict(scale=(1.0, 1.0), ratio=(1.1, 1.2))
    image = torch.zeros(3, height, width)
    y, x, h, w = RandomResizedCrop.get_params(image, [*options['scale']], [*options['ratio']])
    found = extent(
        cut(coordinates(height, width), 1, (256, 256), flip_prob=0, colors=OFF, **options)
    )
    assert [values.item() for values in found] == [x, y, x + w, y + h]


def test_shrinking_takes_the_mean_and_enlarging_interpolates():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::4] = 240  # a resize that leaves pixels out sees 0 or 240
    assert (cut(stripes, 1, (16, 16), **PLAIN) == 60).all()
    edge = np.zeros((4, 4, 3), np.uint8)
    edge[:, 2:] = 200
    row = cut(edge, 1, (16, 16), **PLAIN)[0, 0, 0, :, 0]
    assert len({*row.tolist()}) > 4 and (np.diff(row.astype(int)) >= 0).all()


@pytest.mark.parametrize('position', ['after_split', 'crop_before_split', 'before_split'])
@pytest.mark.parametrize(('height', 'width'), [(1, 1), (3, 2), (2, 3), (1, 40)])
@pytest.mark.parametrize('grid', [2, 3])
def test_tiny_images_make_patches_of_what_they_have(position, height, width, grid):
    image = np.random.RandomState(0).randint(50, 200, (height, width, 3), dtype=np.uint8)
    made = cut(image, grid, (20, 24), times=20, overlap=0, position=position, colors=OFF)
    assert made.shape == (20, grid**2, 24, 20, 3)
    assert made.min() >= image.min() and made.max() <= image.max()
    if (height, width) == (1, 1):
        assert (made == image).all()


# -------------------------------------------------------------------------------- colors, packing


def test_colors_are_color_augmentations():
    colors = dict(jitter_prob=0, gray_prob=1, blur_prob=1, blur_sigma=(4, 4))
    image = noise(80, 80)
    made = cut(image, 1, (80, 80), **{**PLAIN, 'colors': colors})[0, 0]
    assert np.array_equal(made, augment(image, **{**OFF, **colors}))
    assert difference(made, image).mean() > 20


def test_default_colors_are_those_of_moco_v2():
    color = PatchAugmentation().colors
    assert [limits for _, *limits in color.jitters] == [
        [0.6, 1.4], [0.6, 1.4], [0.6, 1.4], [-0.1, 0.1]
    ]  # fmt: skip
    shares = (color.jitter_prob, color.gray_prob, color.blur_prob, color.solarize_prob)
    assert shares == (0.8, 0.2, 0.5, 0)


def test_the_blur_of_a_patch_of_112_pixels_is_of_up_to_2():
    dot = np.zeros((112, 112, 3), np.uint8)
    dot[56, 56] = 255
    made = cut(dot, 1, times=300, **{**PLAIN, 'colors': {**OFF, 'blur_prob': 1}})
    row = made[:, 0, 56, :, 0].astype(float)
    spreads = np.sqrt((row * (np.arange(112) - 56) ** 2).sum(1) / row.sum(1))
    assert 1.75 < spreads.max() < 2.1
    assert np.mean(spreads) == pytest.approx(1.05, abs=0.15)


def test_the_column_goes_through_the_stock_packing_and_preprocessor():
    augmentation = PatchAugmentation(seed=0)
    augmentation.set_patches(2, (24, 20))
    results = augmentation({'img': noise(90, 60), 'id': 7})
    column = results['img'].copy()
    mean, std = [10.0, 20, 30], [2.0, 3, 4]
    preprocessor = PoseDataPreprocessor(mean=mean, std=std, bgr_to_rgb=True)
    packed = PackPoseInputs()(results)
    assert packed['data_samples'].metainfo['img_shape'] == (80, 24)
    inputs = preprocessor({k: [v] for k, v in packed.items()})['inputs']
    for index in range(4):
        patch = column[index * 20 : (index + 1) * 20, :, ::-1]
        expected = (torch.from_numpy(patch.copy()) - torch.tensor(mean)) / torch.tensor(std)
        found = inputs[0, :, index * 20 : (index + 1) * 20].permute(1, 2, 0)
        torch.testing.assert_close(found, expected)


# ------------------------------------------------------------------------------------- the seed


def crops_of(folder, **options) -> PersonCropDataset:
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(64, 64)),
        dict(type='hsjp_mm.PatchAugmentation', **options),
        dict(type='PackPoseInputs'),
    ]
    return PersonCropDataset(
        'boxes.json', data_root=str(folder), data_prefix=dict(img='images'), pipeline=pipeline
    )


@pytest.mark.slow
def test_with_a_seed_an_instance_has_its_patches_whatever_the_worker_and_order(tiny_coco):
    def read(seed: int, *order: int, workers: int = 0, batch: int = 1) -> dict:
        dataset = crops_of(tiny_coco, seed=seed)
        set_patches(dataset, 2, (32, 32))
        loader = DataLoader(dataset, batch, sampler=order, num_workers=workers, collate_fn=list)
        samples = [sample for made in loader for sample in made]
        return {sample['data_samples'].id: sample['inputs'] for sample in samples}

    first = read(0, 0, 1, 2, 3, 4, 5)
    np.random.seed(99)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    again = read(0, 4, 1, 5, 0, 3, 2)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    elsewhere = read(0, 5, 4, 3, 2, 1, 0, workers=2, batch=2)
    other = read(1, 0, 1, 2, 3, 4, 5)
    assert len(first) == 6
    for key, patches in first.items():
        assert torch.equal(again[key], patches)
        assert torch.equal(elsewhere[key], patches)
        assert not torch.equal(other[key], patches)
    one = torch.stack([*first.values()]).float()
    assert (one[0] - one[1]).abs().mean() > 1


def test_a_seed_needs_the_instance():
    augmentation = PatchAugmentation(seed=0)
    augmentation.set_patches(2, (8, 8))
    with pytest.raises(ValueError, match=r"seed=0 needs each sample's 'id'.* sample has img"):
        augmentation({'img': noise()})


def test_without_a_seed_the_workers_generator_decides():
    np.random.seed(3)  # noqa: NPY002
    first = cut(smooth())
    second = cut(smooth())
    np.random.seed(3)  # noqa: NPY002
    assert np.array_equal(cut(smooth()), first)
    assert not np.array_equal(first, second)


# ------------------------------------------------------------------------- telling the numbers


def test_untold_patches_name_the_hook():
    with pytest.raises(RuntimeError, match=r"type='hsjp_mm\.PrepareDataHook'\) to custom_hooks"):
        PatchAugmentation()({'img': noise()})


@pytest.mark.slow
def test_every_augmentation_is_told_through_wrappers(tiny_coco):
    parts = [crops_of(tiny_coco) for _ in range(4)]
    combined = CombinedDataset(
        dict(dataset_name='none', keypoint_info={}, skeleton_info={}, joint_weights=[], sigmas=[]),
        datasets=[],
        pipeline=[PatchAugmentation()],
        lazy_init=True,
    )
    combined.datasets = parts[2:]
    concatenated = RepeatDataset(dict(type='ConcatDataset', datasets=parts[:2]), times=2)
    assert set_patches(concatenated, 3, (12, 16)) == 2
    assert set_patches(combined, 3, (12, 16)) == 3
    for part in parts:
        assert part[0]['inputs'].shape == (3, 9 * 16, 12)
    assert combined.pipeline.transforms[0].grid == 3
    assert set_patches([1, 2], 3, (12, 16)) == 0


@pytest.mark.parametrize(('grid', 'size'), [(0, (8, 8)), (2, (8, 0))])
def test_patches_that_cannot_be(grid, size):
    with pytest.raises(ValueError, match=f'grid={grid} and size=.* must be at least 1'):
        PatchAugmentation().set_patches(grid, size)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(overlap=1), r'overlap=1 of the image side must be in \[0, 1\)'),
        (dict(overlap=-0.2), r'overlap=-0\.2 of'),
        (
            dict(position='after'),
            "position='after' must be one of after_split, crop_before",
        ),
        (dict(scale=(0, 1)), r'scale=\(0, 1\) must be a range in \(0, 1\]'),
        (dict(scale=(0.5, 1.2)), r'scale=\(0\.5, 1\.2\) must be'),
        (dict(scale=(0.5, 0.2)), r'scale=\(0\.5, 0\.2\) must be'),
        (dict(ratio=(0, 1)), r'ratio=\(0, 1\) must be a range of positive numbers'),
        (dict(ratio=(2, 1)), r'ratio=\(2, 1\) must be'),
        (dict(flip_prob=1.5), r'flip_prob=1\.5 must be in \[0, 1\]'),
        (dict(colors=dict(hue=0.6)), r'hue=0\.6 must be in \[0, 0\.5\]'),
    ],
)
def test_patch_arguments_outside_their_range(options, message):
    with pytest.raises(ValueError, match=message):
        PatchAugmentation(**options)


# ------------------------------------------------------------- overlap and position of the model


@pytest.mark.parametrize(
    ('stated', 'told', 'holds'),
    [
        ({}, {}, (0.3, 'after_split')),
        ({}, dict(overlap=0.1), (0.1, 'after_split')),
        ({}, dict(overlap=0), (0, 'after_split')),
        (dict(overlap=0.6), {}, (0.6, 'after_split')),
        (dict(overlap=0.6), dict(overlap=0.6), (0.6, 'after_split')),
        (dict(overlap=0.6), dict(position='before_split'), (0.6, 'before_split')),
    ],
)
def test_the_model_says_overlap_and_position_and_the_pipeline_may(stated, told, holds):
    augmentation = PatchAugmentation(**stated)
    augmentation.set_patches(2, (8, 8), overlap=0.5 if not stated else None)
    augmentation.set_patches(2, (8, 8), **told)  # nothing of an earlier model is left
    assert (augmentation.overlap, augmentation.position) == holds


@pytest.mark.parametrize(
    ('told', 'message'),
    [
        (dict(overlap=0.1), r'model\.overlap=0\.1, but PatchAugmentation .*overlap=0\.6'),
        (dict(overlap=1.0), r'overlap=1\.0'),
        (dict(position='after'), r"position='after' must be one of after_split"),
    ],
)
def test_what_the_model_cannot_say(told, message):
    with pytest.raises(ValueError, match=message):
        PatchAugmentation(overlap=0.6).set_patches(2, (8, 8), **told)


def test_colors_by_their_name_of_version_0_1():
    with pytest.warns(FutureWarning) as warned:
        old = PatchAugmentation(colours=dict(solarise_prob=0.7, hue=0))
    assert [str(warning.message).split(';')[0] for warning in warned] == [
        'argument colours is now colors',
        'argument solarise_prob is now solarize_prob',
    ]
    assert old.colors.solarize_prob == 0.7 and old.colors.gray_prob == 0.2
    with pytest.raises(TypeError, match='give one of them'):
        PatchAugmentation(colors=dict(solarise_prob=0.7, solarize_prob=0.7))
