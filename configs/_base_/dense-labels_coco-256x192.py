"""Persons of DensePose-COCO with their labels, for any dense task, which adds model and measures.

The study gives epochs, learning rate and its steps, "following" Simple Baselines; crop size, batch
and augmentation, which it does not give, are theirs too.
"""

_base_ = ['mmpose::_base_/default_runtime.py']

input_size = (192, 256)
data_root = 'data/coco/'

data_preprocessor = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)

crop = dict(type='hsjp_mm.TopdownDenseAffine', input_size=input_size)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', rotate_factor=80, scale_factor=(0.7, 1.3), shift_factor=0),
    crop,
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    crop,
    dict(type='PackPoseInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='hsjp_mm.PartMaskDataset',
        data_root=data_root,
        ann_file='annotations/densepose_train2014.json',
        data_prefix=dict(img='train2014/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='hsjp_mm.PartMaskDataset',
        data_root=data_root,
        ann_file='annotations/densepose_minival2014.json',
        data_prefix=dict(img='val2014/'),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(by_epoch=True, max_epochs=140, val_interval=10)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='MultiStepLR', milestones=[90, 120], gamma=0.1, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=128)

custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='hsjp_mm.SeedHook'),
    dict(type='hsjp_mm.PrepareDataHook'),
    dict(type='hsjp_mm.SkippedImagesHook'),
    dict(type='hsjp_mm.PuzzleVisualizationHook'),
]
