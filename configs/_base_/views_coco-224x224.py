"""Views of all person boxes of COCO, for methods that compare them: data, schedule, measures."""

_base_ = ['./person-crops_coco-224x224.py']

data_preprocessor = dict(type='hsjp_mm.ViewsDataPreprocessor')

# The window of a view is drawn in the padded box, and each view is cut from the image itself.
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.MakeViews'),
    dict(type='hsjp_mm.PackViews'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.MakeViews', seed=0),
    dict(type='hsjp_mm.PackViews'),
]
train_dataloader = dict(
    drop_last=True,  # a single image has no other to be told from
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='hsjp_mm.ViewRetrieval')
test_evaluator = val_evaluator

# the epochs of the 3D study (its section 4.1) for the methods that it trains on persons
train_cfg = dict(max_epochs=140)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=140, by_epoch=True)]

default_hooks = dict(checkpoint=dict(save_best='views/retrieval', rule='greater', max_keep_ckpts=2))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='hsjp_mm.PrepareDataHook'),
    dict(type='hsjp_mm.SeedHook'),
    dict(type='hsjp_mm.SkippedImagesHook'),
    dict(type='hsjp_mm.PuzzleVisualizationHook', num_samples=8),
]
