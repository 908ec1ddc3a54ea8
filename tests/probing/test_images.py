"""Images to classify: folders, CIFAR, crops and normalization."""

import hashlib
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config
from PIL import Image
from torchvision import transforms
from torchvision.datasets import CIFAR10

from hsjp_mm.datasets.image_files import UnreadableImageError
from hsjp_mm.probing.images import (
    center_crop,
    label_subset,
    load_images,
    normalization,
    random_crop,
    read_rgb,
)
from tests.helpers import damage_middle
from tests.probing.colors import COLORS, make_images


def load(data: str):
    return load_images(data, random_crop(32), center_crop(32))


def test_label_subset_is_balanced_and_nested():
    targets = [0] * 40 + [1] * 20 + [2] * 3
    fractions = (0.01, 0.1, 0.25, 0.5, 1.0)
    subsets = [label_subset(targets, fraction, seed=4) for fraction in fractions]
    counts = [np.bincount(np.asarray(targets)[subset]).tolist() for subset in subsets]
    assert counts == [[1, 1, 1], [4, 2, 1], [10, 5, 1], [20, 10, 2], [40, 20, 3]]
    for smaller, larger in pairwise(subsets):
        assert set(smaller) < set(larger)
        assert len(set(larger)) == len(larger)
    assert subsets[-1] == list(range(63))
    assert label_subset(targets, 0.25, seed=5) != subsets[2]


def test_channels_and_normalization_of_the_config():
    rgb = Image.fromarray(np.full((4, 4, 3), (30, 20, 10), dtype=np.uint8))

    def transform(settings):
        return transforms.Compose(
            normalization(Config(dict(model=dict(data_preprocessor=settings))))
        )(rgb)[:, 0, 0]

    stats = dict(mean=[10.0, 5.0, 1.0], std=[2.0, 5.0, 3.0])
    torch.testing.assert_close(
        transform(dict(stats, bgr_to_rgb=True)), torch.tensor([10.0, 3.0, 3.0])
    )
    torch.testing.assert_close(transform(stats), torch.tensor([0.0, 3.0, 29 / 3]))
    imagenet = [(30 - 123.675) / 58.395, (20 - 116.28) / 57.12, (10 - 103.53) / 57.375]
    torch.testing.assert_close(transform(None), torch.tensor(imagenet))


def test_training_crops_differ_between_epochs(images):
    train, val = load(images)
    assert np.abs(np.float32(train[0][0]) - np.float32(train[0][0])).mean() > 1
    assert np.array_equal(val[0][0], val[0][0])


def test_cifar(tmp_path, monkeypatch):
    """Files of CIFAR-10's layout with other contents."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()

    def write(name: str, content: dict) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    planes_of = np.random.RandomState(0).randint(0, 255, (10, 3))
    for part, number in (('train', 40), ('test', 20)):
        labels = np.arange(number) % 10
        planes = planes_of[labels]
        content = {'data': np.repeat(planes, 1024, 1).astype(np.uint8), 'labels': labels.tolist()}
        monkeypatch.setattr(CIFAR10, f'{part}_list', [[part, write(part, content)]])
    names = write('batches.meta', {'label_names': [f'c{i}' for i in range(10)]})
    monkeypatch.setattr(CIFAR10, 'meta', {**CIFAR10.meta, 'md5': names})
    train, val = load(f'cifar10:{tmp_path}')
    assert (len(train), len(val), train.classes) == (40, 20, [f'c{i}' for i in range(10)])
    assert train.targets == [i % 10 for i in range(40)]
    # an image of one color stays that in any crop: RGB, as the planes of the file
    image, target = val[3]
    assert (target, image.size, image.getpixel((5, 7))) == (3, (32, 32), tuple(planes_of[3]))
    with pytest.raises(FileNotFoundError, match=r'CIFAR100.*cifar-100-python.*nothing is down'):
        load(f'cifar100:{tmp_path}')


def test_missing_and_empty_folders(images):
    with pytest.raises(FileNotFoundError, match=r'nowhere/train.*cifar10:PATH or cifar100:PATH'):
        load('nowhere')
    (Path(images) / 'val/empty').mkdir()
    with pytest.raises(FileNotFoundError, match=r'data/val: .*empty'):
        load(images)


def test_classes_differ(images):
    (Path(images) / 'val/red').rename(Path(images) / 'val/pink')
    with pytest.raises(ValueError, match=r"same classes, not \['pink', 'red'\]"):
        load(images)


def test_one_class(tmp_path):
    for part in ('train', 'val'):
        make_images(tmp_path / part, {'red': COLORS['red']}, number=1, seed=0)
    with pytest.raises(ValueError, match=r"one class, \['red'\]"):
        load(str(tmp_path))


def test_an_image_cut_short_is_refused(images):
    path = Path(images) / 'train/green/3.png'
    path.write_bytes(path.read_bytes()[:200])
    train, _ = load(images)
    with pytest.raises(UnreadableImageError, match=r'train/green/3\.png cannot be read'):
        list(train)


@pytest.fixture
def photo(tmp_path) -> Path:
    """A JPEG of (width, height) = (96, 64), red above and blue below."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :, 0] = pixels[32:, :, 2] = 255
    path = tmp_path / 'photo.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(pixels).save(path, quality=95, exif=exif)
    return path


def test_colors_and_turning(photo):
    image = read_rgb(str(photo))
    assert image.size == (64, 96)
    left, right = np.array(image.getpixel((8, 50))), np.array(image.getpixel((56, 50)))
    np.testing.assert_allclose([left, right], [(0, 0, 255), (255, 0, 0)], atol=3)


def test_a_jpeg_damaged_in_its_middle_is_refused(photo):
    noise = np.random.RandomState(0).randint(0, 256, (320, 480, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photo)
    damage_middle(photo)
    with pytest.raises(UnreadableImageError, match=r'photo\.jpg cannot be read: Corrupt JPEG data'):
        read_rgb(str(photo))
