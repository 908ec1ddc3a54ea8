_base_ = ['../../_base_/pbn-256x256.py']

train_dataloader = dict(
    dataset=dict(
        **_base_.mpii, ann_file='annotations/mpii_train.json', pipeline=_base_.train_pipeline
    )
)
val_dataloader = dict(
    dataset=dict(
        **_base_.mpii,
        ann_file='annotations/mpii_val.json',
        headbox_file='data/mpii/annotations/mpii_gt_val.mat',
        test_mode=True,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(type='hsjp_mm.PCKh')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='pckh/mean', rule='greater'))
