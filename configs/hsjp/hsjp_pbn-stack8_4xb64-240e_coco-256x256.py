_base_ = ['../_base_/hsjp_coco-224x224.py']

input_size = (256, 256)  # 64 must divide it
crop = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=input_size),
]
train_pipeline = [*crop, *_base_.train_pipeline[len(crop) :]]
val_pipeline = [*crop, *_base_.val_pipeline[len(crop) :]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

model = dict(
    type='hsjp_mm.HSJP',
    grid=6,
    input_size=input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='hsjp_mm.PartBranchHourglass', num_stacks=8),
    head=dict(type='hsjp_mm.HSJPStackHead'),
)
