_base_ = [
    './higherhrnet_hrnet-w32_4xb12-300e_coco-640x640.py',
    '../../_base_/hrnet-w48.py',
]

model = dict(backbone=_base_.hrnet_w48, head=dict(in_channels=48))

train_dataloader = dict(batch_size=10)
auto_scale_lr = dict(base_batch_size=40)
