_base_ = ['./higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py']

model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='hsjp_mm.PretextInit', checkpoint='')))
