_base_ = ['../_base_/views-lars_coco-224x224.py']

# Scale and least size of a segment are the authors', who segment whole photographs and not crops.
model = dict(
    type='hsjp_mm.DetConB',
    segments=dict(method='felzenszwalb'),
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50),
    head=dict(type='hsjp_mm.DetConBHead', in_channels=2048),
)

segmented = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.SegmentCrop'),
]
train_pipeline = [
    *segmented,
    dict(type='hsjp_mm.MakeViews'),
    dict(type='hsjp_mm.PackViews'),
]
val_pipeline = [
    *segmented,
    dict(type='hsjp_mm.MakeViews', seed=0),
    dict(type='hsjp_mm.PackViews'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

# the authors' 0.2 for each 256 images
optim_wrapper = dict(optimizer=dict(lr=0.2, weight_decay=1.5e-6))
sync_bn = 'torch'
