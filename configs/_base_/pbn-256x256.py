"""PBN on crops of 256×256: network, schedule and pipelines (sections 3.3 and 4.1 of the paper)."""

_base_ = ['mmpose::_base_/default_runtime.py']

input_size = (256, 256)
codec = dict(type='hsjp_mm.HighestCell', input_size=input_size, heatmap_size=(64, 64), sigma=1)

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='hsjp_mm.PartBranchHourglass',
        part_groups='configs/pbn/part_groups/mpii_5.json',
        num_stacks=8,
    ),
    head=dict(
        type='CPMHead',
        in_channels=16,  # without effect, as the next: it has no layers, part_groups tell how many
        out_channels=16,
        num_stages=8,
        deconv_out_channels=None,
        final_layer=None,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', shift_prob=0, scale_factor=(0.75, 1.25), rotate_factor=30),
    dict(type='hsjp_mm.TopdownShearAffine', input_size=input_size, shear=0.5),
    dict(  # color jitter alone
        type='hsjp_mm.ColorAugmentation',
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0,
        jitter_prob=1,
        gray_prob=0,
        blur_prob=0,
        solarize_prob=0,
    ),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='PackPoseInputs'),
]
pyramid_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.TopdownPyramid', input_size=input_size),
    dict(type='hsjp_mm.PackImagePyramid'),
]
mpii = dict(type='MpiiDataset', data_root='data/mpii/', data_prefix=dict(img='images/'))

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
)

train_cfg = dict(by_epoch=True, max_epochs=250, val_interval=10)
optim_wrapper = dict(optimizer=dict(type='RMSprop', lr=2.5e-4))
param_scheduler = [dict(type='MultiStepLR', milestones=[170, 220], gamma=0.1, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=16)

custom_hooks = [*_base_.custom_hooks, dict(type='hsjp_mm.SeedHook')]
