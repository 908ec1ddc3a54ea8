_base_ = ['./td-hm_res50_imagenet-pre-8xb64-210e_coco-256x192.py']

model = dict(backbone=dict(init_cfg=None))
