_base_ = ['../_base_/hsjp_coco-224x224.py', '../_base_/hrnet-w32.py']

model = dict(
    type='hsjp_mm.HSJP',
    grid=6,
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=_base_.hrnet_w32,
    head=dict(type='hsjp_mm.HSJPHead', in_channels=32, deconv_out_channels=None),
)
