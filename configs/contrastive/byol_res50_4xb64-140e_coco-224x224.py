_base_ = ['../_base_/views-lars_coco-224x224.py']

model = dict(
    type='hsjp_mm.BYOL',
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50),
    head=dict(type='hsjp_mm.BYOLHead', in_channels=2048),
)

# the paper's 0.2 for each 256 images
optim_wrapper = dict(optimizer=dict(lr=0.2, weight_decay=1.5e-6))
sync_bn = 'torch'
