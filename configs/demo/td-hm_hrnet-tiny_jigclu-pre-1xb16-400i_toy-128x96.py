_base_ = ['./td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py']

model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='hsjp_mm.PretextInit', checkpoint='')))
