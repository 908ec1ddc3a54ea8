"""Samples of large photographs: as with the stock loader, but for the smoother pixels."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, DefaultSampler, pseudo_collate
from mmengine.registry import init_default_scope
from PIL import Image
from torch.utils.data import DataLoader

from hsjp_mm.datasets import LoadScaledImage, PersonCropDataset, set_segments
from hsjp_mm.datasets.encoded_images import EncodedImage
from hsjp_mm.datasets.image_files import ORIENTATION, UnreadableImageError
from hsjp_mm.datasets.sample_seeds import seed_samples
from hsjp_mm.ops.seeds import seed_generators
from tests.helpers import SHARED, damage_middle

COCO_POSE = SHARED / 'coco_pose'
SIZE = (48, 64)
WIDTH, HEIGHT = 1203, 902
BOXES = [
    [300, 200, 500, 500],  # 625 pixels to 64, at 1/8
    [-60, 500, 300, 402],  # over the border
    [900, 100, 100, 120],  # 150 pixels, at 1/2
    [700, 700, 30, 40],  # enlarged
]
LOADERS = ('LoadImage', 'hsjp_mm.LoadScaledImage')
CROP = [dict(type='hsjp_mm.InputAffine', input_size=SIZE), dict(type='PackPoseInputs')]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpose')


@pytest.fixture
def photos(tmp_path):
    """A function that writes three photographs of smooth blobs, and opens them with a loader."""

    def open_them(loader, steps=(), crop=CROP, ending='jpg', orientation=1, **options):
        rng = np.random.RandomState(0)
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        images, annotations = [], []
        for i in range(3):
            blobs = rng.randint(0, 256, (9, 12, 3), dtype=np.uint8)
            pixels = cv2.resize(blobs, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            path = tmp_path / f'{i}.{ending}'
            if not path.exists():
                Image.fromarray(pixels).save(path, exif=exif)
            name = {'id': i, 'file_name': path.name, 'width': WIDTH, 'height': HEIGHT}
            images.append(name)
            annotations += [
                {'id': 10 * i + j, 'image_id': i, 'category_id': 1, 'bbox': box}
                for j, box in enumerate(BOXES)
            ]
        categories = [{'id': 1, 'name': 'person'}]
        file = tmp_path / 'boxes.json'
        file.write_text(
            json.dumps({'images': images, 'annotations': annotations, 'categories': categories})
        )
        first = [dict(type=loader), dict(type='GetBBoxCenterScale')]
        return PersonCropDataset(
            str(file), data_prefix=dict(img=str(tmp_path)),
            pipeline=[*first, *steps, *crop], **{'test_mode': True, **options},
        )  # fmt: skip

    return open_them


def sample(dataset, index: int) -> dict:
    seed_generators('a test', index)
    return dataset[index]


def assert_same_but_for_pixels(one, other) -> list[float]:
    """Compare samples; the mean differences of the images, where a shift by a pixel makes 8."""
    assert one.keys() == other.keys()
    sides = [each['inputs'] for each in (one, other)]
    views = zip(*[side if isinstance(side, list) else [side] for side in sides], strict=True)
    differences = []
    for a, b in views:
        assert a.shape == b.shape
        differences.append(float((a.float() - b.float()).abs().mean()))
    assert max(differences) < 1.5
    a, b = one['data_samples'], other['data_samples']
    assert set(a.metainfo) == set(b.metainfo)
    for key, value in a.metainfo.items():
        assert np.array_equal(value, b.metainfo[key]), key
    for key, value in a.gt_instances.items():
        assert np.array_equal(np.asarray(value), np.asarray(b.gt_instances[key])), key
    return differences


AUGMENTED = [
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', rotate_prob=1.0, rotate_factor=60.0),
]
VIEW = dict(num=2, size=SIZE, area=(0.2, 1.0), rotate=30.0, flip_prob=0.5)
PIPELINES = {
    'plain': ([], CROP),
    'udp': ([], [dict(CROP[0], use_udp=True), CROP[1]]),
    'augmented': (AUGMENTED, CROP),
    'sheared': (AUGMENTED, [dict(type='hsjp_mm.TopdownShearAffine', input_size=SIZE), CROP[1]]),
    'mesh': ([], [dict(type='hsjp_mm.RandomMeshAffine', input_size=SIZE), CROP[1]]),
    'views': ([], [dict(type='hsjp_mm.MakeViews', views=[VIEW]), dict(type='hsjp_mm.PackViews')]),
}


@pytest.mark.parametrize('orientation', [1, 3, 6])
@pytest.mark.parametrize('name', list(PIPELINES))
def test_samples_are_the_stock_ones(photos, name, orientation):
    steps, crop = PIPELINES[name]
    stock, ours = (photos(one, steps, crop, orientation=orientation) for one in LOADERS)
    for index in range(len(BOXES)):
        expected, made = sample(stock, index), sample(ours, index)
        differences = assert_same_but_for_pixels(expected, made)
        assert made['data_samples'].ori_shape == expected['data_samples'].ori_shape
        if index == 3:
            assert max(differences) == 0


def test_how_far_each_crop_is_reduced(photos, monkeypatch):
    calls, decode = [], cv2.imdecode
    monkeypatch.setattr(cv2, 'imdecode', lambda *args: calls.append(args[1]) or decode(*args))
    dataset = photos('hsjp_mm.LoadScaledImage')
    for index in range(len(BOXES)):
        dataset[index]
    assert calls == [
        cv2.IMREAD_REDUCED_COLOR_8, cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_COLOR_2,
        cv2.IMREAD_COLOR,
    ]  # fmt: skip


def test_other_formats_are_loaded_as_ever(photos):
    stock, ours = (photos(one, ending='png') for one in LOADERS)
    for index in range(len(BOXES)):
        assert torch.equal(stock[index]['inputs'], ours[index]['inputs'])


def test_an_image_that_is_there_is_taken():
    image = np.zeros((20, 30, 3), np.uint8)
    results = Compose([dict(type='hsjp_mm.LoadScaledImage')])({'img': image})
    assert results['img'] is image and results['ori_shape'] == (20, 30)


def test_segments_and_masks_know_the_size_of_the_image(photos):
    crop = [
        dict(type='hsjp_mm.SegmentCrop'),
        dict(type='hsjp_mm.MakeViews', views=[VIEW]),
        dict(type='hsjp_mm.PackViews'),
    ]
    made = []
    for loader in LOADERS:
        dataset = photos(loader, crop=crop)
        set_segments(dataset, dict(method='felzenszwalb', size=SIZE, scale=100))
        made.append(sample(dataset, 0))
    assert_same_but_for_pixels(*made)


@pytest.mark.parametrize('kind', ['damaged', 'missing', 'another size'])
def test_what_cannot_be_read_is_skipped_and_counted(photos, tmp_path, kind, monkeypatch, log_file):
    dataset, strict = (
        photos('hsjp_mm.LoadScaledImage', test_mode=test_mode) for test_mode in (False, True)
    )
    path = tmp_path / '1.jpg'
    if kind == 'damaged':
        rough = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        cv2.imwrite(str(path), rough)
        damage_middle(path)
    elif kind == 'missing':
        path.unlink()
    else:
        cv2.imwrite(str(path), np.zeros((80, 70, 3), np.uint8))
    monkeypatch.setattr(dataset, '_rand_another', lambda: 0)
    made = dataset[4]['data_samples']
    assert (made.id, made.skipped) == (0, [str(path)])
    assert '1.jpg (instance 10)' in log_file.read_text()
    with pytest.raises(UnreadableImageError):
        strict[4]


def test_workers_and_batches_change_nothing(photos):
    expected = None
    for options in (dict(batch_size=2), dict(batch_size=3, num_workers=2)):
        dataset = photos('hsjp_mm.LoadScaledImage', AUGMENTED, test_mode=False)
        sampler = DefaultSampler(dataset, seed=0)
        loader = DataLoader(dataset, sampler=sampler, collate_fn=pseudo_collate, **options)
        seed_samples(loader, 5)
        found = torch.stack([image for batch in loader for image in batch['inputs']])
        expected = found if expected is None else expected
        assert torch.equal(found, expected)


@pytest.mark.parametrize('name', ['augmented', 'views'])
def test_photographs_that_are_kept_change_no_sample(photos, name, monkeypatch):
    steps, crop = PIPELINES[name]
    order = [0, 0, 1, 2, 3, 4, 0, 4, 8, 5, 9, 9, 0, 1]
    calls, decode, samples = {}, cv2.imdecode, {}
    for keep in (0, 1, 2):
        made = calls.setdefault(keep, [])
        monkeypatch.setattr(
            cv2, 'imdecode', lambda *args, made=made: made.append(args[1]) or decode(*args)
        )
        dataset = photos('hsjp_mm.LoadScaledImage', steps, crop, orientation=6)
        dataset.pipeline.transforms[0].keep = keep
        samples[keep] = [sample(dataset, index) for index in order]
        assert len(dataset.pipeline.transforms[0].kept) == keep
    for one in (1, 2):
        for expected, found in zip(samples[0], samples[one], strict=True):
            assert assert_same_but_for_pixels(expected, found) in ([0], [0, 0])
    assert len(calls[0]) > len(calls[1]) > len(calls[2])


def test_damage_is_told_of_each_crop_of_a_kept_photograph(photos, tmp_path):
    dataset = photos('hsjp_mm.LoadScaledImage')
    dataset.pipeline.transforms[0].keep = 2
    damage_middle(tmp_path / '1.jpg')
    for index in (4, 5, 4):
        with pytest.raises(UnreadableImageError, match=rf'instance 1{index - 4}\)'):
            dataset[index]


def test_a_negative_number_to_keep():
    with pytest.raises(ValueError, match='keep=-1 must be at least 0'):
        LoadScaledImage(keep=-1)


@pytest.mark.parametrize(
    'step', [dict(type='TopdownAffine', input_size=SIZE), dict(type='PhotometricDistortion')]
)
def test_transforms_that_take_arrays_are_named(photos, step):
    dataset = photos('hsjp_mm.LoadScaledImage', crop=[step, dict(type='PackPoseInputs')])
    with pytest.raises(TypeError, match=f'{step["type"]} cannot take the image of hsjp_mm.LoadSc'):
        dataset[0]


@pytest.mark.slow
@pytest.mark.skipif(not COCO_POSE.is_dir(), reason='../shared/data/coco_pose is absent')
def test_crops_of_real_photographs_are_nearer_to_the_mean_of_their_pixels():
    """What a crop is compared with has 8×8 samples in each of its pixels."""
    file = COCO_POSE / 'annotations/person_keypoints_val2017.json'
    size, many = (96, 96), 8
    stock, ours = (
        PersonCropDataset(
            str(file), data_prefix=dict(img=str(COCO_POSE / 'val2017')), min_size=160,
            pipeline=[
                dict(type=loader), dict(type='GetBBoxCenterScale'),
                dict(type='hsjp_mm.InputAffine', input_size=size),
            ],
        )
        for loader in LOADERS
    )  # fmt: skip
    apart, errors = [], []
    for index in range(30):
        info = ours.get_data_info(index)
        loaded = Compose(ours.pipeline.transforms[:2])(dict(info))
        assert isinstance(loaded['img'], EncodedImage)
        matrix = ours.pipeline.transforms[2].matrix(ours.prepare_data(index))
        fine = matrix * many
        fine[:, 2] += (many - 1) / 2
        whole = cv2.imread(info['img_path'])
        means = cv2.resize(
            cv2.warpAffine(whole, fine, (many * size[0], many * size[1])), size,
            interpolation=cv2.INTER_AREA,
        ).astype(float)  # fmt: skip
        one, other = stock.prepare_data(index)['img'], ours.prepare_data(index)['img']
        apart.append(np.abs(one.astype(float) - other).mean())
        errors.append([np.abs(one - means).mean(), np.abs(other - means).mean()])
    assert 0 < np.mean(apart) < 8
    assert np.mean(errors, axis=0)[1] < 0.6 * np.mean(errors, axis=0)[0]
