"""The measurements of `hsjp-mm benchmark` of data pipelines: seconds of a sample."""

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from mmengine.hub import get_config
from mmengine.registry import DATASETS
from PIL import Image, ImageFilter
from torchvision import transforms

from hsjp_mm.benchmarks.data import enlarge_coco
from hsjp_mm.benchmarks.measuring import alternate
from hsjp_mm.datasets import set_input_size
from hsjp_mm.ops.patches import patch_boxes

HSJP_CONFIG = 'hsjp_mm::hsjp/hsjp_hrnet-w32_4xb64-240e_coco-224x224.py'
STOCK_CONFIG = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
)
JIGCLU_PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(224, 224)),
    dict(type='hsjp_mm.PatchAugmentation', overlap=0.3),
    dict(type='PackPoseInputs'),
]


def measure_pipeline(args: argparse.Namespace) -> None:
    compare_samples(args, dict(type='LoadImage'), 'sample of the data pipeline')


def measure_photo_pipeline(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        images, size = enlarge_coco(
            args.data, args.split, args.persons, 1e6 * args.megapixels, folder
        )
        what = (
            f'sample of {images} photographs of {args.megapixels:g} megapixels, '
            f'{size / images / 1e6:.1f} MB each'
        )
        large = argparse.Namespace(**{**vars(args), 'data': folder})
        for keep in (0, 1):
            loader = dict(type='hsjp_mm.LoadScaledImage', keep=keep)
            compare_samples(large, loader, f'{what}, keep={keep}')


def measure_store(args: argparse.Namespace) -> None:
    """Compare with samples from stores, of COCO as it is and enlarged."""
    load, scaled = dict(type='LoadImage'), dict(type='hsjp_mm.LoadScaledImage')
    with tempfile.TemporaryDirectory() as folder:
        compare_stored(args, load, False, Path(folder, 'as-it-is'), 'sample of a store')
        large = argparse.Namespace(**{**vars(args), 'data': str(Path(folder, 'large'))})
        Path(large.data).mkdir()
        enlarge_coco(args.data, args.split, args.persons, 1e6 * args.megapixels, large.data)
        for shrink in (False, True):
            what = f'sample of a store of {args.megapixels:g} megapixels, shrink={shrink}'
            compare_stored(large, scaled, shrink, Path(folder, str(shrink)), what)


def compare_stored(
    args: argparse.Namespace, loader: dict, shrink: bool, out: Path, what: str
) -> None:
    """Write a store of the persons, and compare samples of it with stock ones of the images."""
    from hsjp_mm.datasets.store import Options, write_store  # as set_patches below

    manifest = write_store(hsjp_dataset(args, loader), out, Options(shrink=shrink))
    size = manifest['bytes'] / manifest['crops'] / 1e3
    compare_samples(args, loader, f'{what}, {size:.1f} kB a crop', store=str(out.absolute()))


def hsjp_dataset(args: argparse.Namespace, loader: dict, store: str = ''):
    config = get_config(HSJP_CONFIG)
    source = dict(coco_source(args), store=store)
    config.train_dataloader.dataset.pipeline[0] = loader
    dataset = DATASETS.build(dict(config.train_dataloader.dataset, **source))
    set_input_size(dataset, config.input_size)
    return dataset


def compare_samples(args: argparse.Namespace, loader: dict, what: str, store: str = '') -> None:
    """Print seconds of a sample of HSJP, with a loading transform, and of the stock one."""
    cv2.setNumThreads(0)  # as MMEngine sets it
    stock_cfg = get_config(STOCK_CONFIG).train_dataloader.dataset
    stock = DATASETS.build(dict(stock_cfg, **coco_source(args)))
    stock.full_init()
    ours = hsjp_dataset(args, loader, store)
    place = {ours.get_data_info(i)['id']: i for i in range(len(ours))}
    ids = [stock.get_data_info(i)['id'] for i in range(len(stock))]
    # ours leaves out some that stock keeps
    common = [i for i, key in enumerate(ids) if key in place][: args.persons]
    if not common:
        raise ValueError(f'data={args.data!r} has no labelled person that HSJP trains on')
    same = [place[ids[i]] for i in common]

    def read(dataset, indices) -> Callable:
        def run() -> None:
            for index in indices:
                dataset[index]

        return run

    mine, theirs, ratio = alternate(read(ours, same), read(stock, common), args.rounds)
    print(
        f'{what}, the same {len(same)} persons: HSJP '
        f'{1000 * mine / len(same):.2f} ms, stock top-down {1000 * theirs / len(same):.2f} ms, '
        f'ratio {ratio:.3f}'
    )


def coco_source(args: argparse.Namespace) -> dict:
    return dict(
        data_root=args.data,
        ann_file=f'annotations/person_keypoints_{args.split}.json',
        data_prefix=dict(img=args.split),
    )


def measure_jigclu_pipeline(args: argparse.Namespace) -> None:
    from hsjp_mm.datasets import set_patches  # here, for load() measures what this import takes

    cv2.setNumThreads(0)  # as MMEngine sets it; PIL has one thread as well
    dataset = DATASETS.build(
        dict(type='hsjp_mm.PersonCropDataset', pipeline=JIGCLU_PIPELINE, **coco_source(args))
    )
    set_patches(dataset, grid=2, size=(112, 112))
    persons = [dataset.get_data_info(i) for i in range(min(args.persons, len(dataset)))]
    recipe = torchvision_recipe()

    def ours(samples: list[dict]) -> Callable:
        return lambda: [dataset.pipeline(dict(sample)) for sample in samples]

    def theirs(samples: list[dict]) -> Callable:
        return lambda: [torchvision_patches(sample, recipe) for sample in samples]

    arrays = [dict(person, img=cv2.imread(person['img_path'])) for person in persons]
    images = [dict(person, img=read_with_pil(person)) for person in persons]
    for what, mine, other in (('', persons, persons), (' without reading it', arrays, images)):
        seconds, reference, ratio = alternate(ours(mine), theirs(other), args.rounds)
        print(
            f'sample of the JigClu pipeline{what}, the same {len(persons)} persons: '
            f'{1000 * seconds / len(persons):.2f} ms, PIL and torchvision '
            f'{1000 * reference / len(persons):.2f} ms, ratio {ratio:.3f}'
        )


def torchvision_recipe() -> transforms.Compose:
    """Build what the authors of JigClu do with each patch, MoCo v2's augmentation."""
    jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(112, scale=(0.2, 1.0)),
            transforms.RandomApply([jitter], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomApply([transforms.Lambda(pil_blur)], p=0.5),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )


def pil_blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def read_with_pil(person: dict) -> Image.Image:
    return Image.open(person['img_path']).convert('RGB')


def torchvision_patches(person: dict, recipe: transforms.Compose) -> list[torch.Tensor]:
    """Cut the patches out of the region that TopdownAffine takes, 1.25 times the box and square."""
    image = person['img'] if 'img' in person else read_with_pil(person)
    left, top, right, bottom = person['bbox'][0].tolist()
    half = 1.25 * max(right - left, bottom - top) / 2
    x, y = (left + right) / 2 - half, (top + bottom) / 2 - half
    boxes = [[2 * half * share for share in box] for box in patch_boxes(2, overlap=0.3)]
    regions = [(round(x + a), round(y + b), round(x + c), round(y + d)) for a, b, c, d in boxes]
    return [recipe(image.crop(region)) for region in regions]
