_base_ = ['./td-hm_hrnet-w32_imagenet-pre-8xb64-210e_coco-256x192.py']

model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='hsjp_mm.PretextInit', checkpoint='')))
