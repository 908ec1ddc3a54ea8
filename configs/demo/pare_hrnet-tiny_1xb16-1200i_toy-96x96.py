# on the network of the pretext tasks beside it, for the study in miniature
_base_ = ['../_base_/mesh_toy-96x96.py', '../_base_/hrnet-tiny.py']

model = dict(
    backbone=_base_.hrnet_tiny,
    # its highest resolution is a quarter of the input already
    head=dict(type='hsjp_mm.PAREHead', in_channels=16, deconv_out_channels=None, thin_channels=16),
)

train_cfg = dict(max_iters=1200, val_interval=200)
param_scheduler = [dict(type='MultiStepLR', milestones=[900, 1100], gamma=0.1, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval=200))
