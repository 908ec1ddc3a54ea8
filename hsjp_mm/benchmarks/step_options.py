"""What a training step gains by a memory format, bfloat16, a fused optimizer and compilation."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from hsjp_mm.benchmarks.data import mesh_sample
from hsjp_mm.benchmarks.measuring import alternate
from hsjp_mm.benchmarks.steps import is_of, memory_of, pretext_batch, step_of
from hsjp_mm.models.pose_estimators.mesh_estimator import BodyEstimator
from hsjp_mm.models.pretext.base import PretextModel
from hsjp_mm.utils.configs import read_config

PLAIN = 'plain'
OPTIONS = {
    PLAIN: (),
    'channels_last': ('channels_last',),
    'bfloat16': ('bfloat16',),
    'fused optimizer': ('fused',),
    'together': ('channels_last', 'bfloat16', 'fused'),
    'compiled': ('compiled',),
}
SIDE = 2048
"""Of the matrices whose product tells how fast the machine calculates."""


def measure_step_options(args: argparse.Namespace) -> None:
    """Print images a second, the share of the arithmetic and memory of each of several configs."""
    if not args.configs:
        raise ValueError(f'--configs={args.configs} must be a training config or more')
    names = [name for name in OPTIONS if name != 'compiled' or args.compile]
    # before the first step here, for a child starts with its parent's peak
    all_peaks = [
        {name: memory_of(args, f'{name}:{config}') for name in names} for config in args.configs
    ]
    for config, peaks in zip(args.configs, all_peaks, strict=True):
        plain = option_step(args, f'{PLAIN}:{config}')
        operations = count_operations(plain)
        for name in names[1:]:
            step = option_step(args, f'{name}:{config}')
            seconds, plain_seconds, ratio = alternate(step, plain, args.rounds, args.device)
            print(
                f'training step, {Path(config).stem}, {args.batch} images, {args.device}: {name} '
                f'{args.batch / seconds:.2f} images/s, plain {args.batch / plain_seconds:.2f}, '
                f'ratio of the times {ratio:.3f}; peak memory {peaks[name]:.0f} and '
                f'{peaks[PLAIN]:.0f} MiB, ratio {peaks[name] / peaks[PLAIN]:.3f}',
                flush=True,
            )
        product = product_of(args.device)
        seconds, product_seconds, _ = alternate(plain, product, args.rounds, args.device)
        share = operations / seconds / (2 * SIDE**3 / product_seconds)
        print(
            f'{Path(config).stem}: {operations / 1e9:.1f} billion operations a plain step, '
            f'{share:.2f} of the speed of a product of matrices',
            flush=True,
        )


def option_step(args: argparse.Namespace, name: str) -> Callable[[], None]:
    """A training step of a config, ``name`` being one of OPTIONS, a colon, and the config."""
    option, _, config = name.partition(':')
    options = OPTIONS[option]
    cfg = read_config(config)
    model, inputs, data_samples = batch_of(args, cfg)
    if 'channels_last' in options:
        model.to(memory_format=torch.channels_last)
    optim_wrapper = dict(cfg.optim_wrapper)
    if 'bfloat16' in options:
        optim_wrapper['type'] = 'hsjp_mm.BFloat16OptimWrapper'
    if 'fused' in options:
        optim_wrapper['optimizer'] = dict(optim_wrapper['optimizer'], fused=True)
    wrapper = build_optim_wrapper(model, optim_wrapper)
    if 'compiled' in options:  # as MMEngine's Runner does
        model.forward = torch.compile(model.forward)
    return step_of(model, inputs, data_samples, wrapper)


def batch_of(args: argparse.Namespace, cfg: Config) -> tuple[Any, torch.Tensor, list]:
    """The model of a config, inputs and data samples: persons, or noise for a mesh regressor."""
    if is_of(cfg, PretextModel):
        return pretext_batch(args, cfg)
    if not is_of(cfg, BodyEstimator):
        raise ValueError(
            f'configs={cfg.filename} must be a pretraining or a mesh regressor, not a '
            f'{cfg.model.type}'
        )
    samples = [mesh_sample(args.side).to(args.device) for _ in range(args.batch)]
    crops = torch.randn(args.batch, 3, args.side, args.side, device=args.device)
    return MODELS.build(cfg.model).to(args.device), crops, samples


def count_operations(step: Callable[[], None]) -> int:
    """Multiplications and additions of convolutions and products in a step, both passes."""
    from torch.utils.flop_counter import FlopCounterMode  # here, for it changes tables of torch

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def product_of(device: str) -> Callable[[], torch.Tensor]:
    """A product of two large matrices in single precision."""
    left, right = torch.randn(2, SIDE, SIDE, device=device)
    return lambda: left @ right
