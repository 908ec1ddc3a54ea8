_base_ = ['../_base_/mesh_h36m-coco-224x224.py']

model = dict(
    backbone=dict(
        type='ResNet',
        depth=50,
        # "classification" of the study's tables
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    head=dict(type='hsjp_mm.HMRHead', in_channels=2048),
)
