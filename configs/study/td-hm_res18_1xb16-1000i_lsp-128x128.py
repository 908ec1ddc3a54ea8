_base_ = ['td-hm_hrnet-tiny_1xb16-1000i_lsp-128x128.py']

model = dict(
    backbone=dict(_delete_=True, type='ResNet', depth=18),
    # three deconvolutions as in MMPose's ResNets, of 64 channels for 256
    head=dict(in_channels=512, deconv_out_channels=(64, 64, 64), deconv_kernel_sizes=(4, 4, 4)),
)
