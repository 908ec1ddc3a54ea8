# 2D poses on photographs of COCO, from random weights or from a pretraining
_base_ = ['../demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py']

data_root = 'data/coco/'
val_file = 'annotations/person_keypoints_val2017.json'
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        indices=None,
    )
)
val_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file=val_file, data_prefix=dict(img='val2017/'))
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + val_file)
test_evaluator = val_evaluator

train_cfg = dict(max_iters=1000, val_interval=200)
param_scheduler = [dict(type='MultiStepLR', milestones=[800, 930], gamma=0.1, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval=200))
