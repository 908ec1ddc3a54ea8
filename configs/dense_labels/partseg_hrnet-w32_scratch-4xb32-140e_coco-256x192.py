_base_ = ['./partseg_res50_4xb32-140e_coco-256x192.py', '../_base_/hrnet-w32.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.hrnet_w32),
    head=dict(in_channels=32, deconv_out_channels=None),
)
