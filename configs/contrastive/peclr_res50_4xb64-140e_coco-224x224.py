_base_ = ['../_base_/views_coco-224x224.py']

# The study does not say whether PeCLR began from ImageNet's weights, as its authors do:
# model.backbone.init_cfg=dict(type='hsjp_mm.PretextInit', checkpoint='torchvision://resnet50').
model = dict(
    type='hsjp_mm.PeCLR',
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50),
    head=dict(type='hsjp_mm.PeCLRHead', in_channels=2048),
)

# The authors wrap LARS around Adam, which is LAMB, at 1e-4 times the root of the images a step;
# they accumulate 16 times 128 images, each of which is contrasted with its own 128 alone.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='mmpretrain.Lamb', lr=1.6e-3, weight_decay=1e-6)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=130, by_epoch=True, begin=10, end=140),
]
sync_bn = 'torch'
