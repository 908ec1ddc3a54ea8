# 2D poses of LSP extended as a pretraining
_base_ = [
    '../demo/td-hm_hrnet-tiny_scratch-1xb32-1000i_toy-96x96.py',
    '../_base_/datasets/lsp.py',
    '../_base_/datasets/lspet.py',
]

model = dict(head=dict(out_channels=14))

train_dataloader = dict(dataset=dict(**_base_.lspet_train, metainfo=_base_.dataset_info))
val_dataloader = dict(dataset=dict(**_base_.lspet_val, metainfo=_base_.dataset_info))
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='hsjp_mm.LSPPCK')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='pck/mean'))
