_base_ = ['./i2l-meshnet_res50_4xb16-120e_h36m-coco-256x256.py']

model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='hsjp_mm.PretextInit', checkpoint='')))
