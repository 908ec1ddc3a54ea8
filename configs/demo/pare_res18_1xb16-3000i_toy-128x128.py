_base_ = ['../_base_/mesh_toy-128x128.py']

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(type='hsjp_mm.PAREHead', in_channels=512),
)
