_base_ = ['../_base_/views_toy-96x96.py']

model = dict(
    type='hsjp_mm.BYOL',
    head=dict(type='hsjp_mm.BYOLHead', hidden_channels=512, out_channels=128),
)
