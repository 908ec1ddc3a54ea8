_base_ = ['../_base_/dense-labels_coco-256x192.py']

model = dict(
    type='hsjp_mm.DensePose',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type='ResNet',
        depth=50,
        # as Simple Baselines; the study does not say from which weights
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    # the study gives no weights of the losses: those of the head are ours
    head=dict(type='hsjp_mm.DensePoseHead', in_channels=2048),
)

# without RandomFlip, which needs the symmetry_file that comes with DensePose's own data
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'RandomFlip']
dataset_type = 'hsjp_mm.DensePoseDataset'
train_dataloader = dict(dataset=dict(type=dataset_type, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = val_dataloader

val_evaluator = [dict(type='hsjp_mm.DensePoseAccuracy'), dict(type='hsjp_mm.PartIoU')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='densepose/index', rule='greater', max_keep_ckpts=2))
