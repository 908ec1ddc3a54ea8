"""JointCon on the persons of COCO whose joints are annotated: data, schedule, measures."""

_base_ = ['./views_coco-224x224.py']

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='hsjp_mm.DropOccluded'),  # if the model says so
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.MakeViews'),
    dict(type='hsjp_mm.PackViews'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='hsjp_mm.DropOccluded'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.MakeViews', seed=0),
    dict(type='hsjp_mm.PackViews'),
]
train_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='hsjp_mm.JointRetrieval')
test_evaluator = val_evaluator

# The paper's schedule for what is trained on 2D joints; it does not say which optimizer.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=1e-3))
param_scheduler = [dict(type='MultiStepLR', milestones=[90, 120], gamma=0.1, by_epoch=True)]
sync_bn = 'torch'

default_hooks = dict(checkpoint=dict(save_best='joints/joint_retrieval'))
