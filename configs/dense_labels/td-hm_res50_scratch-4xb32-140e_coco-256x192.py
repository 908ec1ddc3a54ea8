_base_ = ['./td-hm_res50_4xb32-140e_coco-256x192.py']

model = dict(backbone=dict(init_cfg=None))
