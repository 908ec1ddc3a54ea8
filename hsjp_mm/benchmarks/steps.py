"""The measurements of `hsjp-mm benchmark` of training steps: seconds, memory, and what is sent."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hub import get_config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, MODELS

from hsjp_mm.benchmarks.communication import (
    is_one_of_several,
    measure_traffic,
    process_group,
    start_processes,
)
from hsjp_mm.benchmarks.data import mesh_sample, stock_sample
from hsjp_mm.benchmarks.measuring import TOOL, alternate, peak_memory, run_process
from hsjp_mm.benchmarks.pipelines import HSJP_CONFIG, STOCK_CONFIG, coco_source
from hsjp_mm.models.pretext.base import PretextModel
from hsjp_mm.utils.configs import read_config

JIGCLU_CONFIG = 'hsjp_mm::jigclu/jigclu_res50_4xb64-200e_coco-224x224.py'
HOURGLASS_CONFIG = (
    'mmpose::body_2d_keypoint/topdown_heatmap/mpii/td-hm_hourglass52_8xb64-210e_mpii-256x256.py'
)
MESH_CONFIGS = {
    name: f'hsjp_mm::mesh/{head}_res50_4xb16-120e_h36m-coco-224x224.py'
    for name, head in {'hmr': 'hmr', 'pare': 'pare', 'backbone': 'hmr'}.items()
}
PBN_CONFIG = 'hsjp_mm::pbn/mpii/pbn_stack3_1xb16-250e_mpii-256x256.py'


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


def step_of(
    model: torch.nn.Module,
    crops: torch.Tensor,
    samples: list,
    optim_wrapper: OptimWrapper | None = None,
) -> Callable[[], None]:
    """A training step of a model on always the same batch; with Adam unless something is given."""
    wrapper = optim_wrapper or OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    model.train()

    def step() -> None:
        with wrapper.optim_context(model):
            losses = model(crops, samples, mode='loss')
        wrapper.update_params(sum(value for name, value in losses.items() if 'loss' in name))

    return step


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
    return step_of(*pretext_batch(args, read_config(config)))


def is_of(cfg: Config, kind: type) -> bool:
    """Whether the model of a config is of a class, or of one below it."""
    model = MODELS.get(cfg.model.type)
    return isinstance(model, type) and issubclass(model, kind)


def pretext_batch(args: argparse.Namespace, cfg: Config, rank: int = 0) -> tuple:
    """The model of a pretraining config; inputs and data samples of one of several processes."""
    if not is_of(cfg, PretextModel):
        raise ValueError(f'configs={cfg.filename} must be a pretraining, not a {cfg.model.type}')
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, **coco_source(args)))
    model = MODELS.build(cfg.model).to(args.device)
    model.prepare(dataset)
    MessageHub.get_current_instance().update_info('max_iters', 1000)  # which some averages follow
    own = range(rank * args.batch, (rank + 1) * args.batch)
    samples = [dataset[i % len(dataset)] for i in own]
    data = model.data_preprocessor(pseudo_collate(samples), True)
    return model, data['inputs'], data['data_samples']


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


def measure_communication(args: argparse.Namespace) -> None:
    """Print what processes of a training send each other, for each of several configs."""
    if not args.configs:
        raise ValueError(f'--configs={args.configs} must be a pretraining config or more')
    if not is_one_of_several():
        start_processes(args.processes)
        return
    with process_group(args.device) as rank:
        for config in args.configs:
            model, inputs, data_samples = pretext_batch(args, read_config(config), rank)
            make_step = partial(step_of, crops=inputs, samples=data_samples)
            line = measure_traffic(model, make_step, args.rounds)
            if not rank:
                print(
                    f'training step of each process, {args.processes} processes, {args.batch} '
                    f'persons, {args.device}: {Path(config).stem} {line}',
                    flush=True,
                )


def memory_of(args: argparse.Namespace, name: str) -> float:
    """The peak memory in MiB of steps in a process of their own, for a peak stays."""
    command = [
        sys.executable, str(TOOL), args.what, '--memory-of', name, '--batch', str(args.batch),
        '--side', str(args.side), '--device', args.device, '--data', args.data,
        '--split', args.split, '--threads', str(torch.get_num_threads()),
    ]  # fmt: skip
    return float(run_process(command).split()[-1])


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


def measure_memory(args: argparse.Namespace, make_step: Callable) -> None:
    """Print the peak of two steps in MiB, above what the imports take."""
    imports = peak_memory()
    step = make_step(args, args.memory_of)
    step()
    step()
    if args.device == 'cpu':
        print(peak_memory() - imports)
    else:
        print(torch.cuda.max_memory_allocated() / 2**20)


def named_step(args: argparse.Namespace, name: str) -> Callable:
    return STEPS[name](args)
