# joints of LSP extended; `hsjp-mm convert lsp` writes its JSON files
_base_ = [
    '../demo/jointcon_hrnet-tiny_1xb32-1000i_toy-96x96.py',
    '../_base_/datasets/lsp.py',
]

lspet = dict(data_root='data/lspet/', metainfo=_base_.dataset_info, data_prefix=dict(img='images/'))
train_dataloader = dict(dataset=dict(**lspet, ann_file='train.json'))
val_dataloader = dict(dataset=dict(**lspet, ann_file='val.json'))
test_dataloader = val_dataloader
