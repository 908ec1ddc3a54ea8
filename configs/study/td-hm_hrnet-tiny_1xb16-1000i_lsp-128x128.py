# 2D poses on photographs, from random weights or from a pretraining: half of LSP to learn from
_base_ = ['td-hm_hrnet-tiny_1xb16-1000i_coco-128x96.py']

codec = dict(type='MSRAHeatmap', input_size=(128, 128), heatmap_size=(32, 32), sigma=1.5)
model = dict(head=dict(out_channels=14, decoder=codec))

train_pipeline = _base_.train_pipeline
train_pipeline[4]['input_size'] = codec['input_size']
train_pipeline[5]['encoder'] = codec
val_pipeline = _base_.val_pipeline
val_pipeline[2]['input_size'] = codec['input_size']

lsp = dict(
    _delete_=True,
    type='hsjp_mm.LSPDataset',
    data_root='data/lsp/',
    ann_file='joints.mat',
    data_prefix=dict(img='images/'),
)
train_dataloader = dict(dataset=dict(**lsp, split='train', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**lsp, split='test', test_mode=True, pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='hsjp_mm.LSPPCK')
test_evaluator = val_evaluator

default_hooks = dict(checkpoint=dict(save_best='pck/mean', rule='greater'))
