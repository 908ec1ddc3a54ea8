# 96×96 as in the pretraining, for the transformer has a place for each patch of it
_base_ = ['td-hm_hrnet-tiny_1xb16-1000i_lsp-128x128.py', '../_base_/vit-tiny.py']

codec = dict(input_size=(96, 96), heatmap_size=(24, 24))
model = dict(
    backbone=dict(_delete_=True, **_base_.vit_tiny),
    # from the 12×12 cells of the patches to 24×24
    head=dict(in_channels=128, deconv_out_channels=(64,), deconv_kernel_sizes=(4,), decoder=codec),
)

train_pipeline = _base_.train_pipeline
train_pipeline[4]['input_size'] = codec['input_size']
train_pipeline[5]['encoder'] = {**_base_.codec, **codec}
val_pipeline = _base_.val_pipeline
val_pipeline[2]['input_size'] = codec['input_size']
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=5e-4))  # as in the demo's training of it
