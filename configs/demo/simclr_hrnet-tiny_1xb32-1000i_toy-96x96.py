_base_ = ['../_base_/views_toy-96x96.py']

model = dict(type='hsjp_mm.SimCLR', head=dict(type='hsjp_mm.SimCLRHead', hidden_channels=256))
