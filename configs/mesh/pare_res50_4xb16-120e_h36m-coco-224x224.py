_base_ = ['../_base_/mesh_h36m-coco-224x224.py']

model = dict(
    backbone=dict(
        type='ResNet',
        depth=50,
        # "classification" of the study's tables
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    head=dict(type='hsjp_mm.PAREHead', in_channels=2048),
)

# labels of parts from the labelled poses
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='hsjp_mm.RenderPartMap'),
    *_base_.train_pipeline[-1:],
]
train_sets = [{**one, 'pipeline': train_pipeline} for one in _base_.train_sets]
train_dataloader = dict(dataset=dict(datasets=train_sets))
