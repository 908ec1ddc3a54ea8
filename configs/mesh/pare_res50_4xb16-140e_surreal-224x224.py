"""The same on SURREAL. Of its videos the study does not say how many frames it takes."""

_base_ = ['./pare_res50_4xb16-140e_agora-224x224.py']

data = dict(data_root='data/surreal/', data_prefix=dict(img='frames/', parts='frames/'))

train_sets = [{**_base_.train_sets[0], **data}]
train_dataloader = dict(dataset=dict(datasets=train_sets))
val_dataloader = dict(dataset=dict(**data, ann_file='mesh/val.npz'))
test_dataloader = val_dataloader
