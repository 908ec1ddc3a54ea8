"""Which measurements there are, by name."""

import argparse

import torch
from mmengine.registry import init_default_scope

from hsjp_mm.benchmarks.boxes import load, measure_boxes, measure_dataset
from hsjp_mm.benchmarks.decode import measure_decode
from hsjp_mm.benchmarks.pipelines import (
    measure_jigclu_pipeline,
    measure_photo_pipeline,
    measure_pipeline,
    measure_store,
)
from hsjp_mm.benchmarks.step_options import measure_step_options, option_step
from hsjp_mm.benchmarks.steps import (
    measure_communication,
    measure_jigclu_step,
    measure_memory,
    measure_mesh_step,
    measure_pbn_step,
    measure_pretext_step,
    measure_step,
    named_step,
    pretext_step,
)
from hsjp_mm.utils.devices import require_device

MEASURES = {
    'step': measure_step,
    'pipeline': measure_pipeline,
    'photo-pipeline': measure_photo_pipeline,
    'store': measure_store,
    'jigclu-pipeline': measure_jigclu_pipeline,
    'jigclu-step': measure_jigclu_step,
    'pbn-step': measure_pbn_step,
    'mesh-step': measure_mesh_step,
    'pretext-step': measure_pretext_step,
    'step-options': measure_step_options,
    'communication': measure_communication,
    'decode': measure_decode,
    'dataset': measure_dataset,
    'boxes': measure_boxes,
}
STEPS_WITH_MEMORY = {'pretext-step': pretext_step, 'step-options': option_step}


def run(args: argparse.Namespace) -> None:
    """Measure what the arguments of tools/benchmark.py ask for, and print it."""
    args.side = args.side or (256 if args.what == 'pbn-step' else 224)
    if args.threads:
        torch.set_num_threads(args.threads)
    require_device(args.device)
    init_default_scope('mmpose')
    if args.load:
        load(*args.load)
    elif args.memory_of:
        measure_memory(args, STEPS_WITH_MEMORY.get(args.what, named_step))
    else:
        MEASURES[args.what](args)
