_base_ = ['../_base_/jigclu_coco-224x224.py', '../_base_/hrnet-tiny.py']

hrnet_tiny = _base_.hrnet_tiny
hrnet_tiny.extra.stage4.update(multiscale_output=True)

model = dict(
    type='hsjp_mm.JigClu',
    grid=2,
    input_size=(96, 96),
    data_preprocessor=_base_.data_preprocessor,
    backbone=hrnet_tiny,
    neck=dict(type='FeatureMapProcessor', concat=True),
    head=dict(type='hsjp_mm.JigCluHead', in_channels=240),
)

data = dict(data_root='data/toy/', min_size=16)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **data,
        ann_file='annotations/person_keypoints_train.json',
        data_prefix=dict(img='train/'),
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        **data,
        ann_file='annotations/person_keypoints_val.json',
        data_prefix=dict(img='val/'),
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=1000, val_interval=100)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=1e-3))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=1000, by_epoch=False)]
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False, window_size=20)
