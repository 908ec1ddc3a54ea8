_base_ = ['../_base_/views_coco-224x224.py']

model = dict(
    type='hsjp_mm.SimSiam',
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50, zero_init_residual=True),
    head=dict(type='hsjp_mm.SimSiamHead', in_channels=2048),
)

optim_wrapper = dict(
    optimizer=dict(lr=0.05),
    paramwise_cfg=dict(custom_keys={'predictor': dict(fix_lr=True)}),
)
sync_bn = 'torch'
# the predictor's rate stays as it begins
custom_hooks = [*_base_.custom_hooks, dict(type='hsjp_mm.FixedRateHook')]
