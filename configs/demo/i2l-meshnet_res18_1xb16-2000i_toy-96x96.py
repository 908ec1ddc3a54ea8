_base_ = ['../_base_/mesh_toy-96x96.py']

model = dict(
    type='hsjp_mm.I2LMeshNet',
    backbone=dict(type='ResNet', depth=18),
    head=dict(
        type='hsjp_mm.LixelHead',
        in_channels=512,
        deconv_out_channels=(64, 64, 64),  # for two CPU cores; the original's have 256
        depth=24,  # as many as a quarter of the input
    ),
    test_cfg=dict(_delete_=True, root_depth='label'),
)
