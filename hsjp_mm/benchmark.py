"""The measurements of `hsjp-mm benchmark`: ours against what one would run instead."""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hub import get_config
from mmengine.logging import MessageHub
from mmengine.registry import DATASETS, MODELS, init_default_scope
from PIL import Image, ImageFilter
from torchvision import transforms

from hsjp_mm.benchmark_data import (
    enlarge_coco,
    mesh_sample,
    stock_sample,
    synthetic_coco,
)
from hsjp_mm.benchmark_decode import measure_decode
from hsjp_mm.datasets import set_input_size
from hsjp_mm.ops.patches import patch_boxes
from hsjp_mm.utils.configs import read_config
from hsjp_mm.utils.files import PACKAGE

TOOL = PACKAGE / 'tools/benchmark.py'
"""Starts the processes in which peaks and loading times are measured."""
HSJP_CONFIG = 'hsjp_mm::hsjp/hsjp_hrnet-w32_4xb64-240e_coco-224x224.py'
JIGCLU_CONFIG = 'hsjp_mm::jigclu/jigclu_res50_4xb64-200e_coco-224x224.py'
STOCK_CONFIG = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
)
HOURGLASS_CONFIG = (
    'mmpose::body_2d_keypoint/topdown_heatmap/mpii/td-hm_hourglass52_8xb64-210e_mpii-256x256.py'
)
MESH_CONFIGS = {
    name: f'hsjp_mm::mesh/{head}_res50_4xb16-120e_h36m-coco-224x224.py'
    for name, head in {'hmr': 'hmr', 'pare': 'pare', 'backbone': 'hmr'}.items()
}
PBN_CONFIG = 'hsjp_mm::pbn/mpii/pbn_stack3_1xb16-250e_mpii-256x256.py'
JIGCLU_PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(224, 224)),
    dict(type='hsjp_mm.PatchAugmentation', overlap=0.3),
    dict(type='PackPoseInputs'),
]


def alternate(
    ours: Callable, theirs: Callable, rounds: int, device: str = 'cpu'
) -> tuple[float, float, float]:
    """Run both in turn; median seconds of each and the median of the ratios of neighbors."""
    for run in (ours, theirs):
        timed(run, device)
    times = [(timed(ours, device), timed(theirs, device)) for _ in range(rounds)]
    mine, stock = zip(*times, strict=True)
    ratio = statistics.median(m / s for m, s in times)
    return statistics.median(mine), statistics.median(stock), ratio


def timed(run: Callable, device: str) -> float:
    start = time.perf_counter()
    run()
    if device != 'cpu':
        torch.cuda.synchronize()  # with nothing queued before, for each run ends with this
    return time.perf_counter() - start


def measure_step(args: argparse.Namespace) -> None:
    hsjp_cfg = get_config(HSJP_CONFIG).model
    hsjp_cfg.input_size = (args.side, args.side)
    hsjp = MODELS.build(hsjp_cfg).to(args.device)
    keypoints = hsjp.grid**2
    stock_cfg = get_config(STOCK_CONFIG).model
    stock_cfg.backbone.init_cfg = None
    stock_cfg.head.out_channels = keypoints
    stock = MODELS.build(stock_cfg).to(args.device)
    crops = torch.randn(args.batch, 3, args.side, args.side, device=args.device)
    samples = [stock_sample(keypoints, args.side).to(args.device) for _ in range(args.batch)]
    mine, theirs, ratio = alternate(
        step_of(hsjp, crops, samples), step_of(stock, crops, samples), args.rounds, args.device
    )
    print(
        f'training step, HRNet-W32, {args.side}x{args.side}, batch {args.batch}, {args.device}: '
        f'HSJP {mine:.3f} s, '
        f'stock top-down with {keypoints} keypoints {theirs:.3f} s, ratio {ratio:.3f}'
    )


def step_of(model: torch.nn.Module, crops: torch.Tensor, samples: list) -> Callable:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()

    def step() -> None:
        losses = model(crops, samples, mode='loss')
        optimizer.zero_grad()
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        optimizer.step()

    return step


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


def compare_samples(args: argparse.Namespace, loader: dict, what: str) -> None:
    """Print seconds of a sample of HSJP, with a loading transform, and of the stock one."""
    cv2.setNumThreads(0)  # as MMEngine sets it
    stock_cfg = get_config(STOCK_CONFIG).train_dataloader.dataset
    stock = DATASETS.build(dict(stock_cfg, **coco_source(args)))
    stock.full_init()
    hsjp_cfg = get_config(HSJP_CONFIG)
    hsjp_cfg.train_dataloader.dataset.pipeline[0] = loader
    ours = DATASETS.build(dict(hsjp_cfg.train_dataloader.dataset, **coco_source(args)))
    set_input_size(ours, hsjp_cfg.input_size)
    place = {ours.get_data_info(i)['id']: i for i in range(len(ours))}
    same = [place[stock.get_data_info(i)['id']] for i in range(len(stock))][: args.persons]

    def read(dataset, indices) -> Callable:
        def run() -> None:
            for index in indices:
                dataset[index]

        return run

    mine, theirs, ratio = alternate(read(ours, same), read(stock, range(len(same))), args.rounds)
    print(
        f'{what}, the same {len(same)} persons: HSJP '
        f'{1000 * mine / len(same):.2f} ms, stock top-down {1000 * theirs / len(same):.2f} ms, '
        f'ratio {ratio:.3f}'
    )


def build_jigclu(args: argparse.Namespace) -> Any:
    model = get_config(JIGCLU_CONFIG).model
    model.input_size = (args.side, args.side)
    return MODELS.build(model).to(args.device)


def jigclu_step(args: argparse.Namespace) -> Callable:
    model = build_jigclu(args)
    patch = args.side // 2
    columns = torch.randn(args.batch, 3, 4 * patch, patch, device=args.device)
    return step_of(model, columns, [])


def two_view_step(args: argparse.Namespace) -> Callable:
    """The same backbone, MLP, temperature and optimizer on twice the images, as SimCLR has it."""
    model: Any = build_jigclu(args)
    views = torch.randn(2 * args.batch, 3, args.side, args.side, device=args.device)
    partners = torch.arange(2 * args.batch, device=args.device).roll(args.batch)

    class TwoViews(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = model.backbone
            self.mlp = model.head.clustering

        def forward(self, inputs, data_samples, mode):
            vectors = F.normalize(self.mlp(self.backbone(inputs)[-1].mean(dim=(2, 3))), dim=1)
            logits = vectors @ vectors.T / 0.3
            logits = logits - torch.eye(len(logits), device=logits.device) * 1e9
            return {'loss': F.cross_entropy(logits, partners)}

    return step_of(TwoViews().to(args.device), views, [])


def pbn_step(args: argparse.Namespace) -> Callable:
    return mpii_step(args, get_config(PBN_CONFIG).model)


def hourglass_step(args: argparse.Namespace) -> Callable:
    model = get_config(HOURGLASS_CONFIG).model
    model.backbone.num_stacks = model.head.num_stages = 3
    return mpii_step(args, model)


def mpii_step(args: argparse.Namespace, model: Config) -> Callable:
    """A training step with targets of MPII's 16 keypoints."""
    crops = torch.randn(args.batch, 3, args.side, args.side, device=args.device)
    samples = [stock_sample(16, args.side).to(args.device) for _ in range(args.batch)]
    return step_of(MODELS.build(model).to(args.device), crops, samples)


def mesh_step(args: argparse.Namespace, name: str) -> Callable:
    """A training step of a mesh regressor, or of its backbone alone with the mean of its map."""
    model: Any = MODELS.build(get_config(MESH_CONFIGS[name]).model)
    crops = torch.randn(args.batch, 3, args.side, args.side)
    if name == 'backbone':
        return step_of(BackboneAlone(model.backbone).to(args.device), crops.to(args.device), [])
    samples = [mesh_sample(args.side) for _ in range(args.batch)]
    samples = [sample.to(args.device) for sample in samples]
    return step_of(model.to(args.device), crops.to(args.device), samples)


class BackboneAlone(torch.nn.Module):
    """Gives the mean of the last map as loss."""

    def __init__(self, backbone: torch.nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs, data_samples, mode):
        return {'loss': self.backbone(inputs)[-1].mean()}


STEPS: dict[str, Callable] = {
    'jigclu': jigclu_step,
    'two-views': two_view_step,
    'pbn': pbn_step,
    'hourglass': hourglass_step,
    **{name: partial(mesh_step, name=name) for name in MESH_CONFIGS},
}


def measure_jigclu_step(args: argparse.Namespace) -> None:
    setting = f'ResNet-50, {args.side}x{args.side}, {args.batch} images, {args.device}'
    compare_steps(args, setting, {'jigclu': 'JigClu', 'two-views': 'two views'})


def measure_mesh_step(args: argparse.Namespace) -> None:
    # all before the first step here, for a child starts with its parent's peak
    peaks = {name: memory_of(args, name) for name in MESH_CONFIGS}
    for name in ('hmr', 'pare'):
        mine, other, ratio = alternate(
            mesh_step(args, name), mesh_step(args, 'backbone'), args.rounds, args.device
        )
        print(
            f'training step, ResNet-50, {args.side}x{args.side}, {args.batch} persons, '
            f'{args.device}: {name.upper()} {mine:.3f} s, the backbone alone {other:.3f} s, ratio '
            f'{ratio:.3f}; peak memory {peaks[name]:.0f} and {peaks["backbone"]:.0f} MiB, ratio '
            f'{peaks[name] / peaks["backbone"]:.3f}'
        )


def measure_pbn_step(args: argparse.Namespace) -> None:
    setting = f'three stacks, {args.side}x{args.side}, {args.batch} images, {args.device}'
    compare_steps(args, setting, {'pbn': 'PBN', 'hourglass': 'stock hourglass'})


def pretext_step(args: argparse.Namespace, config: str) -> Callable:
    """A training step of a pretraining config, on the same persons for every config."""
    cfg = read_config(config)
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, **coco_source(args)))
    model = MODELS.build(cfg.model).to(args.device)
    model.prepare(dataset)
    MessageHub.get_current_instance().update_info('max_iters', 1000)  # which some averages follow
    samples = [dataset[i % len(dataset)] for i in range(args.batch)]
    data = model.data_preprocessor(pseudo_collate(samples), True)
    return step_of(model, data['inputs'], data['data_samples'])


def measure_pretext_step(args: argparse.Namespace) -> None:
    if len(args.configs or ()) < 2:
        raise ValueError(f'--configs={args.configs} must be two pretraining configs or more')
    first, *others = args.configs
    setting = f'{args.batch} persons, {args.device}'
    peaks = [memory_of(args, config) for config in args.configs]
    for config, peak in zip(others, peaks[1:], strict=True):
        mine, other, ratio = alternate(
            pretext_step(args, config), pretext_step(args, first), args.rounds, args.device
        )
        print(
            f'training step, {setting}: {Path(config).stem} {mine:.3f} s, {Path(first).stem} '
            f'{other:.3f} s, ratio {ratio:.3f}; peak memory {peak:.0f} and {peaks[0]:.0f} MiB, '
            f'ratio {peak / peaks[0]:.3f}'
        )


def memory_of(args: argparse.Namespace, name: str) -> float:
    """The peak memory in MiB of steps in a process of their own, for a peak stays."""
    command = [
        sys.executable, str(TOOL), args.what, '--memory-of', name, '--batch', str(args.batch),
        '--side', str(args.side), '--device', args.device, '--data', args.data,
        '--split', args.split, '--threads', str(torch.get_num_threads()),
    ]  # fmt: skip
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.split()[-1])


def compare_steps(args: argparse.Namespace, setting: str, names: dict[str, str]) -> None:
    """Print peak memory and seconds of two STEPS, whose printed names are given."""
    (ours, our_name), (theirs, their_name) = names.items()
    # first, for a child starts with its parent's peak
    peaks = [memory_of(args, name) for name in names]
    print(
        f'peak memory of a training step, {setting}: {our_name} {peaks[0]:.0f} MiB, {their_name} '
        f'{peaks[1]:.0f} MiB, ratio {peaks[0] / peaks[1]:.3f} (weights and optimizer included, '
        'the imports not)'
    )
    mine, other, ratio = alternate(STEPS[ours](args), STEPS[theirs](args), args.rounds, args.device)
    print(
        f'training step, {setting}: {our_name} {mine:.3f} s, {their_name} {other:.3f} s, '
        f'ratio {ratio:.3f}'
    )


def measure_memory(args: argparse.Namespace) -> None:
    """Print the peak of two steps in MiB, above what the imports take."""
    imports = peak_memory()
    if args.what == 'pretext-step':
        step = pretext_step(args, args.memory_of)
    else:
        step = STEPS[args.memory_of](args)
    step()
    step()
    if args.device == 'cpu':
        print(peak_memory() - imports)
    else:
        print(torch.cuda.max_memory_allocated() / 2**20)


def peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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


def measure_dataset(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'instances.json'
        path.write_text(json.dumps(synthetic_coco(args.images, args.boxes)))
        (Path(folder) / '0.jpg').touch()
        print(
            f'annotation file of {args.images:,} images, {args.boxes:,} boxes, '
            f'{path.stat().st_size / 1e6:.0f} MB'
        )
        for name in ('none', 'hsjp_mm.PersonCropDataset', 'mmpose.CocoDataset'):
            command = [sys.executable, str(TOOL), 'dataset', '--load', name, str(path)]
            subprocess.run(command, check=True)


def load(name: str, path: str) -> None:
    """Load a data set in this process and print what it took; 'none' prints what imports take."""
    start = time.perf_counter()
    prefix = dict(img=str(Path(path).parent))
    if name == 'none':
        import mmpose.datasets  # noqa: F401

        import hsjp_mm.datasets  # noqa: F401

        number = 0
    else:
        number = len(DATASETS.build(dict(type=name, ann_file=path, data_prefix=prefix)))
    seconds = time.perf_counter() - start
    print(f'{name}: {number} instances, {seconds:.1f} s, peak memory {peak_memory():.0f} MiB')


MEASURES = {
    'step': measure_step,
    'pipeline': measure_pipeline,
    'photo-pipeline': measure_photo_pipeline,
    'jigclu-pipeline': measure_jigclu_pipeline,
    'jigclu-step': measure_jigclu_step,
    'pbn-step': measure_pbn_step,
    'mesh-step': measure_mesh_step,
    'pretext-step': measure_pretext_step,
    'decode': measure_decode,
    'dataset': measure_dataset,
}


def run(args: argparse.Namespace) -> None:
    """Measure what the arguments of tools/benchmark.py ask for, and print it."""
    args.side = args.side or (256 if args.what == 'pbn-step' else 224)
    if args.threads:
        torch.set_num_threads(args.threads)
    init_default_scope('mmpose')
    if args.load:
        load(*args.load)
    elif args.memory_of:
        measure_memory(args)
    else:
        MEASURES[args.what](args)
