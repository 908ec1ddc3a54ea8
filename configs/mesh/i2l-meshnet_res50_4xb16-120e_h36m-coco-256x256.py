_base_ = ['../_base_/mesh_h36m-coco-256x256.py']

# the mesh learns from labelled shapes: these data sets have SMPL's, which say nothing of the free
# body. With SMPL's files: body=dict(file='data/smpl')
model = dict(
    type='hsjp_mm.I2LMeshNet',
    # both ResNets, each from the same checkpoint
    backbone=dict(
        type='ResNet',
        depth=50,
        # "classification" of the study's tables
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    head=dict(type='hsjp_mm.LixelHead', in_channels=2048),
    # as the original is measured: the depth of the hips is given
    test_cfg=dict(_delete_=True, root_depth='label'),
)
