_base_ = ['../_base_/views_coco-224x224.py']

# without sync_bn, for with common statistics a view would tell its key by them
model = dict(
    type='hsjp_mm.MoCo',
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50),
    head=dict(type='hsjp_mm.MoCoHead', in_channels=2048),
)
