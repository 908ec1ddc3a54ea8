_base_ = ['../_base_/views_toy-96x96.py']

model = dict(type='hsjp_mm.PeCLR', head=dict(type='hsjp_mm.PeCLRHead', hidden_channels=256))
