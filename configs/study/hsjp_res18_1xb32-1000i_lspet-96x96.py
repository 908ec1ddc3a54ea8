_base_ = ['../demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py']

model = dict(
    backbone=dict(_delete_=True, type='ResNet', depth=18),
    head=dict(in_channels=512, deconv_out_channels=(64, 64, 64)),
)

lspet = dict(data_root='data/lspet/', data_prefix=dict(img='images/'))
train_dataloader = dict(dataset=dict(**lspet, ann_file='train.json'))
val_dataloader = dict(dataset=dict(**lspet, ann_file='val.json'))
test_dataloader = val_dataloader
