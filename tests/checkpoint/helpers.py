"""Toy models and files that the tests of checkpoints share."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel, BaseModule
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn


class Numbers(BaseDataset):
    """Eight vectors, with the kinds of numpy metainfo that MMPose's data sets have."""

    METAINFO: ClassVar = dict(
        sigmas=np.array([0.1, 0.2], np.float32),
        colors=np.zeros((2, 3), np.uint8),
        flip=np.array([1, 0]),
        weights=np.ones(2),
        skeleton_link_colors=np.array([], np.uint8),  # of keypoints without a skeleton
    )

    def load_data_list(self):
        return [dict(inputs=torch.full((4,), float(i))) for i in range(8)]


class Measure(BaseMetric):
    """Always the same value, under a name of two parts."""

    def __init__(self, name, value):
        self.default_prefix, self.name = name.split('/')
        self.value = value
        super().__init__()

    def process(self, data_batch, data_samples):
        self.results.append(self.value)

    def compute_metrics(self, results):
        return {self.name: float(np.mean(results)), 'other': np.float32(1)}


class Toy(BaseModel):
    def __init__(self, unshuffled=False, init_cfg=None):
        super().__init__()
        self.backbone = Branch(init_cfg)
        self.head = nn.Linear(3, 1)
        self.register_buffer('puzzle', torch.tensor([3, int(unshuffled)]))

    def forward(self, inputs, sample_idx=None, mode='loss'):
        error = self.head(self.backbone(inputs)).square().mean()
        return dict(loss=error) if mode == 'loss' else [error]


class Branch(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.layers = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))

    def forward(self, inputs):
        return self.layers(inputs)


def toy_runner(work_dir, **settings) -> Runner:
    """Three epochs of two steps, with AdamW, EMA and two schedulers."""
    torch.manual_seed(0)
    loader = dict(
        dataset=Numbers(),
        batch_size=4,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    cfg = dict(
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=Evaluator(
            [Measure('hsjp/precision', 0.25), Measure('jigclu/retrieval', 0.75)]
        ),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
            dict(type='MultiStepLR', milestones=[2, 3], by_epoch=True),
        ],
        custom_hooks=[dict(type='EMAHook')],
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', interval=1, save_best='hsjp/precision', rule='greater'
            )
        ),
        default_scope='mmengine',
        experiment_name=work_dir.name,
        log_level='ERROR',
    )
    return Runner(model=Toy(), work_dir=str(work_dir), **(cfg | settings))


def assert_equal(backbone, saved, prefix='backbone.'):
    state = backbone.state_dict()
    assert state
    for name, value in state.items():
        assert torch.equal(value, saved[prefix + name]), name


def hrnet(multiscale_output=None, **settings) -> dict:
    """HRNet-W32's structure with a quarter of its width and half of its modules."""

    def stage(modules, widths, block='BASIC'):
        return dict(
            num_modules=modules,
            num_branches=len(widths),
            block=block,
            num_blocks=(2,) * len(widths),
            num_channels=widths,
        )

    stages = [
        stage(1, (16,), 'BOTTLENECK'),
        stage(1, (8, 16)),
        stage(2, (8, 16, 32)),
        stage(2, (8, 16, 32, 64)),
    ]
    extra = {f'stage{i}': cfg for i, cfg in enumerate(stages, 1)}
    if multiscale_output is not None:
        extra['stage4']['multiscale_output'] = multiscale_output
    return dict(extra=extra, **settings)


def vit(**settings) -> dict:
    arch = dict(embed_dims=24, num_layers=3, num_heads=2, feedforward_channels=48)
    settings = dict(img_size=(64, 48), arch=arch) | settings
    return dict(
        type='mmpretrain.VisionTransformer',
        patch_size=16,
        out_type='featmap',
        with_cls_token=False,
        **settings,
    )


RESNET50 = dict(type='mmpose.ResNet', depth=50, base_channels=8, stem_channels=8)
BACKBONES = {
    'resnet50': RESNET50,
    'resnet18': dict(type='mmpose.ResNet', depth=18),
    'hrnet': dict(type='mmpose.HRNet', zero_init_residual=True, **hrnet()),
    'hourglass': dict(
        type='mmpose.HourglassNet',
        downsample_times=2,
        num_stacks=1,
        stage_channels=(16, 16, 16),
        stage_blocks=(1, 1, 1),
        feat_channel=16,
    ),
    'vit': vit(),
    'mmdet_resnet50': dict(type='mmdet.ResNet', depth=50, base_channels=8, stem_channels=8),
    'mmdet_hrnet': dict(type='mmdet.HRNet', **hrnet()),
}


def build(cfg, **settings) -> nn.Module:
    if cfg['type'].startswith('mmpretrain'):
        pytest.importorskip('mmpretrain')
    return MODELS.build(dict(cfg, **settings))


def save(cfg, path, prefix='backbone.', change=None, **extra) -> dict:
    """Write a checkpoint with random values everywhere, so that none equals an initial one."""
    generator = torch.Generator().manual_seed(5)
    state = {
        prefix + name: torch.randn(value.shape, generator=generator)
        if value.is_floating_point()
        else value + 7
        for name, value in build(cfg).state_dict().items()
    }
    for name, value in state.items():
        if name.endswith('running_var'):
            value.abs_()
    if change:
        change(state)
    torch.save({'state_dict': {**state, 'head.weight': torch.ones(2), **extra}}, path)
    return state


class Parent(BaseModel):
    """A stock estimator's way to hold a backbone, with an initialiser that reaches into it."""

    def __init__(self, backbone):
        super().__init__(init_cfg=dict(type='Constant', layer='Conv2d', val=3))
        self.backbone = build(backbone)
        self.head = BaseModule(init_cfg=dict(type='Constant', layer='Conv2d', val=4))
        self.head.conv = nn.Conv2d(1, 1, 1)

    def forward(self, inputs):
        return inputs


def init(path, **settings) -> dict:
    return dict(type='hsjp_mm.PretextInit', checkpoint=str(path), **settings)


def topdown(init_cfg=None) -> dict:
    return dict(
        type='mmpose.TopdownPoseEstimator',
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor'),
        backbone=dict(RESNET50, init_cfg=init_cfg),
        head=dict(
            type='mmpose.HeatmapHead',
            in_channels=256,
            out_channels=2,
            deconv_out_channels=(8,),
            deconv_kernel_sizes=(4,),
            loss=dict(type='mmpose.KeypointMSELoss'),
        ),
    )
