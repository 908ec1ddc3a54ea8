_base_ = ['../_base_/views_toy-96x96.py']

model = dict(
    type='hsjp_mm.SimSiam',
    head=dict(type='hsjp_mm.SimSiamHead', channels=256, predictor_channels=64),
)

# the paper's optimizer and rate
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={'predictor': dict(fix_lr=True)}),
)
custom_hooks = [*_base_.custom_hooks, dict(type='hsjp_mm.FixedRateHook')]
