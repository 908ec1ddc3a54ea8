"""Synthetic pretraining: PARE on rendered people. Only its backbone goes on, by PretextInit.

The study gives the network, the data and 140 epochs, as for all its pretrainings on people. It
gives neither rate, steps and batch of this one nor what its backbone starts from. Here the rate is
that of the fine-tuning, its steps are those of the pretrainings on 2D labels, and all else is as in
the fine-tuning, the start from ImageNet too.
"""

_base_ = ['./pare_res50_4xb16-120e_h36m-coco-224x224.py']

train_sets = [
    dict(
        type='hsjp_mm.MeshDataset',
        data_root='data/agora/',
        ann_file='mesh/train.npz',  # its paths begin with images_1280x720/
        pipeline=_base_.train_pipeline,
    )
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(datasets=train_sets),
)
# people of its own choose the checkpoint, not those that the study is measured on
val_dataloader = dict(
    dataset=dict(
        data_root='data/agora/',
        ann_file='mesh/validation.npz',
    )
)
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=140)
param_scheduler = [dict(type='MultiStepLR', milestones=[90, 120], gamma=0.1, by_epoch=True)]
