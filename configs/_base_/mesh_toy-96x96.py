"""The demo's rendered bodies, for mesh regressors on two CPU cores."""

_base_ = ['./mesh.py']

input_size = (96, 96)
data_root = 'data/toy/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.2),
    # without rotation and with less scaling than on photographs, for there is little time to learn
    dict(type='hsjp_mm.RandomMeshAffine', input_size=input_size, rotate_prob=0.0, scale_sigma=0.1),
    dict(type='hsjp_mm.ChannelNoise'),
    dict(type='hsjp_mm.PackMeshInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.2),
    dict(type='hsjp_mm.MeshAffine', input_size=input_size),
    dict(type='hsjp_mm.PackMeshInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='hsjp_mm.MeshDataset',
        data_root=data_root,
        ann_file='mesh/train.npz',
        data_prefix=dict(img='train/', parts='parts/train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='hsjp_mm.MeshDataset',
        data_root=data_root,
        ann_file='mesh/val.npz',
        data_prefix=dict(img='val/', parts='parts/val/'),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=2000, val_interval=400)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-4))
param_scheduler = [dict(type='MultiStepLR', milestones=[1500, 1840], gamma=0.1, by_epoch=False)]
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=400),
)
log_processor = dict(by_epoch=False, window_size=20)
