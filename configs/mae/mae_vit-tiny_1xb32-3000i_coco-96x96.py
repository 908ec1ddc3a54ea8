"""A transformer of 1.3 M parameters, to try MAE on a few thousand photographs and one core."""

_base_ = ['../_base_/mae_coco-256x192.py', '../_base_/vit-tiny.py']

input_size = (96, 96)

model = _base_.mae
model.backbone = _base_.vit_tiny
model.head.update(channels=64, depth=2, num_heads=4)

# InputAffine is the last transform but one of both
train_pipeline = _base_.train_pipeline
train_pipeline[-2].update(input_size=input_size)
val_pipeline = _base_.val_pipeline
val_pipeline[-2].update(input_size=input_size)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=3000, val_interval=250)
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # so short a training needs larger steps
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=3000, T_max=2900),
]
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=250, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False, window_size=20)
