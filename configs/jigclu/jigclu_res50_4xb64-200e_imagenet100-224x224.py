_base_ = ['../_base_/jigclu_imagenet-224x224.py']

model = dict(
    type='hsjp_mm.JigClu',
    grid=2,
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50),
    head=dict(type='hsjp_mm.JigCluHead', in_channels=2048),
)

data_root = 'data/imagenet100/'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
