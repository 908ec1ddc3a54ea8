_base_ = ['../_base_/hsjp_coco-224x224.py']

model = dict(
    type='hsjp_mm.HSJP',
    grid=6,
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50),
    head=dict(type='hsjp_mm.HSJPHead', in_channels=2048),
)
