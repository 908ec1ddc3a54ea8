# 2D poses of LSP extended as a pretraining; `hsjp-mm convert lsp` writes its JSON files
_base_ = [
    '../demo/td-hm_hrnet-tiny_scratch-1xb32-1000i_toy-96x96.py',
    '../_base_/datasets/lsp.py',
]

model = dict(head=dict(out_channels=14))

lspet = dict(data_root='data/lspet/', metainfo=_base_.dataset_info, data_prefix=dict(img='images/'))
train_dataloader = dict(dataset=dict(**lspet, ann_file='train.json'))
val_dataloader = dict(dataset=dict(**lspet, ann_file='val.json'))
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='hsjp_mm.LSPPCK')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='pck/mean'))
