_base_ = ['./pare_res50_4xb16-120e_h36m-coco-224x224.py']

model = dict(backbone=dict(init_cfg=None))

# twice as long as from pretrained weights, as the study says
train_cfg = dict(max_epochs=240)
param_scheduler = [dict(type='MultiStepLR', milestones=[180], gamma=0.1, by_epoch=True)]
