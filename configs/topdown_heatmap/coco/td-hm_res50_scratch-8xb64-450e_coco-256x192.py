_base_ = ['./td-hm_res50_scratch-8xb64-210e_coco-256x192.py']

train_cfg = dict(max_epochs=450)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', end=450, milestones=[364, 429], gamma=0.1, by_epoch=True),
]
