_base_ = ['../_base_/mesh_toy-96x96.py']

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(
        type='hsjp_mm.PAREHead',
        in_channels=512,
        deconv_out_channels=(64, 64, 64),  # for two CPU cores; PARE's have 256
        thin_channels=16,
    ),
)
