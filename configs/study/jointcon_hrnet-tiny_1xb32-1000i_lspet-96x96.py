# joints of LSP extended
_base_ = [
    '../demo/jointcon_hrnet-tiny_1xb32-1000i_toy-96x96.py',
    '../_base_/datasets/lsp.py',
    '../_base_/datasets/lspet.py',
]

train_dataloader = dict(dataset=dict(**_base_.lspet_train, metainfo=_base_.dataset_info))
val_dataloader = dict(dataset=dict(**_base_.lspet_val, metainfo=_base_.dataset_info))
test_dataloader = val_dataloader
