_base_ = ['../_base_/views_toy-96x96.py']

# the cells of a grid in place of Felzenszwalb's regions, which take time and another package
model = dict(
    type='hsjp_mm.DetConB',
    segments=dict(method='grid'),
    head=dict(type='hsjp_mm.DetConBHead', hidden_channels=512, out_channels=128),
)

train_pipeline = _base_.train_pipeline
train_pipeline.insert(2, dict(type='hsjp_mm.SegmentCrop'))
val_pipeline = _base_.val_pipeline
val_pipeline.insert(2, dict(type='hsjp_mm.SegmentCrop'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
