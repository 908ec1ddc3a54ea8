"""Images to classify: folders and CIFAR, the crops of them, and what a backbone wants to see."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms
from torchvision.datasets import CIFAR10, CIFAR100, ImageFolder

from hsjp_mm.datasets.image_files import read_image
from hsjp_mm.ops.subsets import subset_order

CIFAR: dict[str, Any] = {'cifar10': CIFAR10, 'cifar100': CIFAR100}
IMAGENET = {'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'bgr_to_rgb': True}
"""Settings of a data preprocessor for a config that has none."""

Steps = list[Callable]


def load_images(data: str, train_steps: Steps, val_steps: Steps) -> tuple[Any, Any]:
    """Open the images to train on and those to classify.

    Args:
        data: A folder with ``train/CLASS/*.jpg`` and ``val/CLASS/*.jpg``, or ``cifar10:PATH`` or
            ``cifar100:PATH``, where PATH holds what torchvision downloads; nothing is downloaded.
        train_steps: Transforms of the first.
        val_steps: Transforms of the second.

    Returns:
        Two torchvision data sets, with ``classes`` and ``targets``.
    """
    steps = transforms.Compose(train_steps), transforms.Compose(val_steps)
    name, colon, path = data.partition(':')
    if colon and name in CIFAR:
        return _load_cifar(CIFAR[name], path, *steps)
    train, val = (
        _load_folder(f'{data}/{part}', transform)
        for part, transform in zip(('train', 'val'), steps, strict=True)
    )
    if train.classes != val.classes:
        only = sorted(set(train.classes) ^ set(val.classes))
        raise ValueError(f'data={data!r}: train and val must hold the same classes, not {only}')
    if len(train.classes) < 2:
        raise ValueError(f'data={data!r} has one class, {train.classes}; at least 2 are needed')
    return train, val


def _load_folder(folder: str, transform: transforms.Compose) -> ImageFolder:
    try:
        return ImageFolder(folder, transform, loader=read_rgb)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{folder}: {error} Data are a folder with train/CLASS/*.jpg and val/CLASS/*.jpg, or '
            f'{" or ".join(f"{name}:PATH" for name in CIFAR)}'
        ) from error


def _load_cifar(
    kind: Any, path: str, train_transform: transforms.Compose, val_transform: transforms.Compose
) -> tuple[Dataset, Dataset]:
    try:
        return kind(path, True, train_transform), kind(path, False, val_transform)
    except RuntimeError as error:
        raise FileNotFoundError(
            f'{path!r} does not hold {kind.__name__} as torchvision unpacks it, in the folder '
            f'{kind.base_folder}, or its files are damaged; nothing is downloaded'
        ) from error


def read_rgb(path: str) -> Image.Image:
    """Read an image, as pretraining does, for the transforms of torchvision.

    Torchvision's own loader neither sees damage in the middle of a JPEG nor turns an image as its
    EXIF data say.

    Raises:
        UnreadableImageError: it cannot be read, or is damaged.
    """
    return Image.fromarray(read_image(path)[..., ::-1])


def label_subset(targets: Sequence[int], fraction: float, seed: int) -> list[int]:
    """Choose the same share of the images of every class, at least one of each.

    Of one seed, the choice of a smaller fraction lies inside that of a larger one.

    Args:
        targets: (N) classes.
        fraction: In (0, 1]; n images of a class give max(1, round(fraction · n)).
        seed: Of the choice.

    Returns:
        Indices into ``targets``, ascending.
    """
    chosen: list[int] = []
    for target in sorted(set(targets)):
        members = np.flatnonzero(np.asarray(targets) == target)
        order = members[subset_order(members.tolist(), seed)]
        chosen += order[: max(1, round(fraction * len(members)))].tolist()
    return sorted(chosen)


def random_crop(size: int) -> Steps:
    """Augmentation while training: a random resized crop and flip."""
    return [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]


def center_crop(size: int) -> Steps:
    """Crop for evaluation: the shorter side at 256/224 of ``size``, then the center."""
    return [transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size)]


def normalization(config: Config) -> Steps:
    """Transforms from RGB images to what the config's backbone expects.

    The mean and std (0 to 255) and channel order of its ``data_preprocessor``; OpenMMLab's
    pipelines load BGR, so the backbone sees RGB only if the preprocessor swaps channels. A config
    without mean and std gets ImageNet's, RGB.
    """
    settings = config.model.get('data_preprocessor') or config.get('data_preprocessor') or {}
    if not (settings.get('mean') and settings.get('std')):
        settings = IMAGENET
    rgb = settings.get('bgr_to_rgb') or settings.get('rgb_to_bgr')
    mean, std = ([value / 255 for value in settings[name]] for name in ('mean', 'std'))
    return [
        transforms.ToTensor(),
        *([] if rgb else [transforms.Lambda(_swap_channels)]),
        transforms.Normalize(mean, std),
    ]


def _swap_channels(image: Tensor) -> Tensor:
    return image.flip(0)
