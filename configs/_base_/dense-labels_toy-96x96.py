"""The dense labels of the demo's rendered bodies: 1,000 iterations of 32."""

_base_ = ['./dense-labels_coco-256x192.py', './hrnet-tiny.py']

input_size = (96, 96)

crop = dict(type='hsjp_mm.TopdownDenseAffine', input_size=input_size)
train_pipeline = _base_.train_pipeline
train_pipeline[-2] = crop
val_pipeline = _base_.val_pipeline
val_pipeline[-2] = crop

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=_base_.hrnet_tiny,
    head=dict(in_channels=16, deconv_out_channels=None),
)

data = dict(data_root='data/toy/', min_size=16)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **data,
        ann_file='annotations/densepose_train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **data,
        ann_file='annotations/densepose_val.json',
        data_prefix=dict(img='val/'),
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=1000, val_interval=100)
param_scheduler = [dict(type='MultiStepLR', milestones=[800, 930], gamma=0.1, by_epoch=False)]
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False, window_size=20)
