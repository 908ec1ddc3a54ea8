# on the network of the pretext tasks beside it, for the study in miniature
_base_ = ['../_base_/mesh_toy-96x96.py', '../_base_/hrnet-tiny.py']

model = dict(
    backbone=_base_.hrnet_tiny,
    # no dropout in so short a training
    head=dict(type='hsjp_mm.HMRHead', in_channels=16, dropout=0.0),
)

# its corrections are linear and feed themselves: at 5e-4 they exploded after 950 iterations
optim_wrapper = dict(optimizer=dict(lr=2e-4))
train_cfg = dict(max_iters=1200, val_interval=200)
param_scheduler = [dict(type='MultiStepLR', milestones=[900, 1100], gamma=0.1, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval=200))
