"""JigClu on all person boxes of COCO: data, schedule and measures (the paper's section 4)."""

_base_ = ['./person-crops_coco-224x224.py']

# cut in the size that the model says
crop = [*_base_.crop[:-1], dict(type='hsjp_mm.InputAffine')]
train_pipeline = [
    *crop,
    dict(type='hsjp_mm.PatchAugmentation'),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    *crop,
    dict(type='hsjp_mm.PatchAugmentation', seed=0),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(
    drop_last=True,  # a single image has no clusters to tell apart
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='hsjp_mm.JigCluAccuracy')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=200)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=200, by_epoch=True)]
sync_bn = 'torch'

default_hooks = dict(
    checkpoint=dict(save_best='jigclu/retrieval', rule='greater', max_keep_ckpts=2)
)
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='hsjp_mm.PrepareDataHook'),
    dict(type='hsjp_mm.SeedHook'),
    dict(type='hsjp_mm.SkippedImagesHook'),
    dict(type='hsjp_mm.PuzzleVisualizationHook'),
]
