"""The same crops in the shape that I2L-MeshNet takes."""

_base_ = ['./mesh_h36m-coco-224x224.py']

input_size = (256, 256)

train_pipeline = [
    *_base_.load,
    dict(type='hsjp_mm.RandomMeshAffine', input_size=input_size, rotate_prob=0.4),
    dict(type='hsjp_mm.ChannelNoise'),
    dict(type='hsjp_mm.PackMeshInputs'),
]
val_pipeline = [
    *_base_.load,
    dict(type='hsjp_mm.MeshAffine', input_size=input_size),
    dict(type='hsjp_mm.PackMeshInputs'),
]
train_sets = [{**one, 'pipeline': train_pipeline} for one in _base_.train_sets]
train_dataloader = dict(dataset=dict(datasets=train_sets))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
