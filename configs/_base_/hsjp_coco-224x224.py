"""HSJP on all person boxes of COCO: data, schedule, measures, pictures (the paper's section 3)."""

_base_ = ['./person-crops_coco-224x224.py']

# cut in the size that the model says
crop = [*_base_.crop[:-1], dict(type='hsjp_mm.InputAffine')]
train_pipeline = [
    *crop,
    dict(type='hsjp_mm.ColorAugmentation'),
    dict(type='PackPoseInputs'),
]
val_pipeline = [*crop, dict(type='PackPoseInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='hsjp_mm.HSJPPrecision')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=240)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='MultiStepLR', milestones=[190, 220], gamma=0.1, by_epoch=True)]

# not by precision, which stays 0 for long: the first of equals would be kept
default_hooks = dict(
    checkpoint=dict(save_best='hsjp/placed', rule='greater', max_keep_ckpts=2),
    prepare_data=dict(type='hsjp_mm.PrepareDataHook'),  # here a child's custom_hooks keep it
)
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='hsjp_mm.SeedHook'),
    dict(type='hsjp_mm.SkippedImagesHook'),
    dict(type='hsjp_mm.PuzzleVisualizationHook'),
]
