"""JigClu on whole images in the folders of ImageNet, whose class folders nothing reads."""

_base_ = ['./jigclu_coco-224x224.py']

data_root = 'data/imagenet/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='hsjp_mm.PatchAugmentation'),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='hsjp_mm.PatchAugmentation', seed=0),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='',
        data_prefix=dict(img='val/'),
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader
