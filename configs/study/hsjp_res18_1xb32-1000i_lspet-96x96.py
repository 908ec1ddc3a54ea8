_base_ = ['../demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py', '../_base_/datasets/lspet.py']

model = dict(
    backbone=dict(_delete_=True, type='ResNet', depth=18),
    head=dict(in_channels=512, deconv_out_channels=(64, 64, 64)),
)

train_dataloader = dict(dataset=_base_.lspet_train)
val_dataloader = dict(dataset=_base_.lspet_val)
test_dataloader = val_dataloader
