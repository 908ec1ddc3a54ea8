_base_ = ['./td-hm_hrnet-tiny_scratch-1xb32-1000i_toy-96x96.py', '../_base_/vit-tiny.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.vit_tiny),
    # from the 12×12 cells of the patches to 24×24
    head=dict(in_channels=128, deconv_out_channels=(64,), deconv_kernel_sizes=(4,)),
)

# HRNet's steps are too large for a transformer: after 150 iterations it had learnt less with them
optim_wrapper = dict(optimizer=dict(lr=5e-4))
