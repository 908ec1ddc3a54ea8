_base_ = ['../_base_/mesh_toy-96x96.py', '../_base_/vit-tiny.py']

model = dict(
    backbone=_base_.vit_tiny,
    head=dict(
        type='hsjp_mm.HMR2Head',
        in_channels=128,
        dim=128,  # for two CPU cores; that of HMR 2.0 is 1,024 wide and has six layers
        num_layers=3,
        num_heads=4,
        feedforward_channels=256,
    ),
)
