"""JigClu on all person boxes of COCO: data, schedule, measures, pictures (the paper, section 4)."""

_base_ = ['mmpose::_base_/default_runtime.py']

input_size = (224, 224)
data_root = 'data/coco/'

data_preprocessor = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='hsjp_mm.PatchAugmentation'),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='hsjp_mm.PatchAugmentation', seed=0),
    dict(type='PackPoseInputs'),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    drop_last=True,  # a single image has no clusters to tell apart
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='hsjp_mm.PersonCropDataset',
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='hsjp_mm.PersonCropDataset',
        data_root=data_root,
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='hsjp_mm.JigCluAccuracy')
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=10)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=200, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=256)
sync_bn = 'torch'

default_hooks = dict(
    checkpoint=dict(save_best='jigclu/retrieval', rule='greater', max_keep_ckpts=2)
)
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='hsjp_mm.PatchHook'),
    dict(type='hsjp_mm.EpochSeedHook'),
    dict(type='hsjp_mm.SkippedImagesHook'),
    dict(type='hsjp_mm.PuzzleVisualizationHook'),
]
