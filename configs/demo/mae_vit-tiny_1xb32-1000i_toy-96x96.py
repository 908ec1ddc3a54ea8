_base_ = ['../mae/mae_vit-tiny_1xb32-3000i_coco-96x96.py']

data = dict(data_root='data/toy/', min_size=16)
train_dataloader = dict(
    dataset=dict(
        **data,
        ann_file='annotations/person_keypoints_train.json',
        data_prefix=dict(img='train/'),
    )
)
val_dataloader = dict(
    dataset=dict(
        **data,
        ann_file='annotations/person_keypoints_val.json',
        data_prefix=dict(img='val/'),
    )
)
test_dataloader = val_dataloader

train_cfg = dict(max_iters=1000, val_interval=100)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=1000, T_max=900),
]
default_hooks = dict(checkpoint=dict(interval=100))
