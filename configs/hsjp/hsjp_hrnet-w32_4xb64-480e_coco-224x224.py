_base_ = ['./hsjp_hrnet-w32_4xb64-240e_coco-224x224.py']

train_cfg = dict(max_epochs=480)
param_scheduler = [dict(type='MultiStepLR', milestones=[380, 440], gamma=0.1, by_epoch=True)]
