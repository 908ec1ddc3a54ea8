_base_ = ['./pbn_stack8_1xb16-250e_mpii-256x256.py']

model = dict(backbone=dict(init_cfg=dict(type='hsjp_mm.PretextInit', checkpoint='')))
