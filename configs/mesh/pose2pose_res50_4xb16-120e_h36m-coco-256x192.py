_base_ = ['../_base_/mesh_h36m-coco-256x192.py']

model = dict(
    backbone=dict(
        type='ResNet',
        depth=50,
        # "classification" of the study's tables
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    head=dict(type='hsjp_mm.Pose2PoseHead', in_channels=2048),
    # rotation matrices; axis_angle=True is the original's, which its authors call a flaw
    loss=dict(type='hsjp_mm.Pose2PoseLoss'),
)
