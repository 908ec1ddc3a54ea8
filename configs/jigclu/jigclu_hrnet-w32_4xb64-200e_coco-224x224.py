_base_ = ['../_base_/jigclu_coco-224x224.py', '../_base_/hrnet-w32.py']

# the highest resolution alone has 32 channels: take all four, which this switch fuses
hrnet_w32 = _base_.hrnet_w32
hrnet_w32.extra.stage4.update(multiscale_output=True)

model = dict(
    type='hsjp_mm.JigClu',
    grid=2,
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=hrnet_w32,
    neck=dict(type='FeatureMapProcessor', concat=True),
    head=dict(type='hsjp_mm.JigCluHead', in_channels=480),
)
