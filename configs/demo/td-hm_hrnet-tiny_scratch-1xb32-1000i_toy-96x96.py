# 2D poses as a pretraining: the budget, crops and network of the pretext tasks beside it
_base_ = ['./td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py']

codec = dict(type='MSRAHeatmap', input_size=(96, 96), heatmap_size=(24, 24), sigma=1.5)
model = dict(head=dict(decoder=codec))

train_pipeline = _base_.train_pipeline
train_pipeline[4]['input_size'] = codec['input_size']
train_pipeline[5]['encoder'] = codec
val_pipeline = _base_.val_pipeline
val_pipeline[2]['input_size'] = codec['input_size']
train_dataloader = dict(batch_size=32, dataset=dict(indices=None, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=1000, val_interval=100)
param_scheduler = [dict(type='MultiStepLR', milestones=[800, 930], gamma=0.1, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval=100, save_best='coco/AP', rule='greater'))
