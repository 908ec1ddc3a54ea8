"""Tiny dense-label models, and one training step of them in one process and in two."""

from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DATASETS, MODELS, init_default_scope

from tests.dense_bodies import PLAIN_PARTS
from tests.helpers import leave_group

BATCHES = {'uneven': (1, 3), 'even': (2, 2)}
KINDS = ('PartSegmentation', 'DensePose')
STEPS = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.TopdownDenseAffine', input_size=(48, 64)),
    dict(type='PackPoseInputs'),
]


def tiny_dense(kind: str, **options):
    """A model on half of a narrow ResNet-18 with frozen batch norm, its map at stride 8."""
    torch.manual_seed(0)
    head = {'PartSegmentation': 'PartSegmentationHead', 'DensePose': 'DensePoseHead'}[kind]
    if kind == 'PartSegmentation':
        options.setdefault('parts', PLAIN_PARTS)
    backbone = dict(
        type='ResNet', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1),
        out_indices=(1,), stem_channels=8, base_channels=8, norm_eval=True,
    )  # fmt: skip
    parts = dict(
        backbone=backbone,
        head=dict(type=f'hsjp_mm.{head}', in_channels=16, deconv_out_channels=None),
        data_preprocessor=dict(type='PoseDataPreprocessor', mean=[60] * 3, std=[70] * 3),
    )
    model = MODELS.build({'type': f'hsjp_mm.{kind}', **parts, **options})
    torch.nn.init.normal_(model.head.final_layer.weight, std=0.1)
    return model


def dense_dataset(kind: str, folder: Path):
    cls, ann_file = {
        'PartSegmentation': ('PartMaskDataset', 'parts.json'),
        'DensePose': ('DensePoseDataset', 'densepose.json'),
    }[kind]
    return DATASETS.build(
        dict(
            type=f'hsjp_mm.{cls}', data_root=str(folder), ann_file=ann_file,
            data_prefix=dict(img='images'), pipeline=STEPS, test_mode=True,
        )
    )  # fmt: skip


def batch(model, kind: str, folder: Path, first: int, last: int) -> tuple[torch.Tensor, list]:
    """Preprocessed samples of a data set.

    Sample i has other parts of its labels than the others: its right third is not labelled if i is
    0, and of its points only 3 + i are there.
    """
    data = dense_dataset(kind, folder)
    samples = [data[i] for i in range(first, last)]
    for i, sample in enumerate(samples, start=first):
        if i == 0:
            sample['data_samples'].gt_fields.part_labels[..., 32:] = 255
        if kind == 'DensePose':
            labels = sample['data_samples'].gt_instance_labels
            for key in ('dense_points', 'dense_charts', 'dense_uv'):
                setattr(labels, key, labels.get(key)[:, : 3 + i])
    done = model.data_preprocessor(
        {
            'inputs': [s['inputs'] for s in samples],
            'data_samples': [s['data_samples'] for s in samples],
        }
    )
    return done['inputs'], done['data_samples']


def step(model, inputs: torch.Tensor, samples: list) -> dict:
    """The losses of a training step, and its gradients; ``model`` may be wrapped."""
    plain = getattr(model, 'module', model)
    values = model(inputs, samples, mode='loss')
    loss, _ = plain.parse_losses(values)
    loss.backward()
    losses = {name: value.detach() for name, value in values.items() if 'loss' in name}
    gradients = {name: weight.grad for name, weight in plain.named_parameters()}
    return {'losses': losses, 'gradients': gradients}


def run_rank(rank: int, data: str, folder: str) -> None:
    init_default_scope('mmpose')
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2,
        timeout=timedelta(seconds=120),
    )  # fmt: skip
    found = {}
    for kind in KINDS:
        for name, sizes in BATCHES.items():
            model = tiny_dense(kind).train()
            first = sum(sizes[:rank])
            inputs, samples = batch(model, kind, Path(data), first, first + sizes[rank])
            found[kind, name] = step(MMDistributedDataParallel(model), inputs, samples)
    torch.save(found, Path(folder, f'{rank}.pth'))
    leave_group()
