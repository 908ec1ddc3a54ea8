_base_ = ['../_base_/jigclu_imagenet-224x224.py']

model = dict(
    type='hsjp_mm.JigClu',
    grid=2,
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50),
    head=dict(type='hsjp_mm.JigCluHead', in_channels=2048),
)
