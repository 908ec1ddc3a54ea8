_base_ = ['../_base_/hsjp_coco-224x224.py', '../_base_/hrnet-tiny.py']

model = dict(
    type='hsjp_mm.HSJP',
    grid=3,
    input_size=(96, 96),
    data_preprocessor=_base_.data_preprocessor,
    backbone=_base_.hrnet_tiny,
    head=dict(type='hsjp_mm.HSJPHead', in_channels=16, deconv_out_channels=None),
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
param_scheduler = [dict(type='MultiStepLR', milestones=[800, 930], gamma=0.1, by_epoch=False)]
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False, window_size=20)
