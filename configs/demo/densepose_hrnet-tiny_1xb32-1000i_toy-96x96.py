_base_ = ['../_base_/dense-labels_toy-96x96.py']

model = dict(type='hsjp_mm.DensePose', head=dict(type='hsjp_mm.DensePoseHead'))

# the rendered bodies come with their symmetry, so that images may be flipped
dataset_type = 'hsjp_mm.DensePoseDataset'
symmetry_file = 'annotations/UV_symmetry_transforms.mat'
train_dataloader = dict(dataset=dict(type=dataset_type, symmetry_file=symmetry_file))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = val_dataloader

val_evaluator = [dict(type='hsjp_mm.DensePoseAccuracy'), dict(type='hsjp_mm.PartIoU')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='densepose/index', rule='greater'))
