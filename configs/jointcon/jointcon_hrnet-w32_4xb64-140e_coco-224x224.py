_base_ = ['./jointcon_res50_4xb64-140e_coco-224x224.py', '../_base_/hrnet-w32.py']

# all four resolutions in one map of 56×56, which this switch fuses
hrnet_w32 = _base_.hrnet_w32
hrnet_w32.extra.stage4.update(multiscale_output=True)

model = dict(
    backbone=dict(_delete_=True, **hrnet_w32),
    neck=dict(type='FeatureMapProcessor', concat=True),
    head=dict(in_channels=480),
)
