_base_ = ['../../_base_/pbn-256x256.py']

mpii_metainfo = dict(from_file='configs/_base_/datasets/mpii.py')
lsp = dict(type='hsjp_mm.LSPDataset', ann_file='joints.mat', data_prefix=dict(img='images/'))
# each of LSP's joints, and its index in MPII's
lsp_in_mpii = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9]
lsp_to_mpii = dict(type='KeypointConverter', num_keypoints=16, mapping=[*enumerate(lsp_in_mpii)])

# trained with the 16 joints of MPII, tested on the 14 of LSP
model = dict(metainfo=mpii_metainfo, test_cfg=dict(output_keypoint_indices=lsp_in_mpii))

train_dataloader = dict(
    dataset=dict(
        type='CombinedDataset',
        metainfo=mpii_metainfo,
        pipeline=_base_.train_pipeline,
        datasets=[
            dict(**_base_.mpii, ann_file='annotations/mpii_train.json'),
            dict(**lsp, data_root='data/lsp/', split='train', pipeline=[lsp_to_mpii]),
            dict(**lsp, data_root='data/lspet/', pipeline=[lsp_to_mpii]),
        ],
    )
)
val_dataloader = dict(
    dataset=dict(
        **lsp,
        data_root='data/lsp/',
        split='test',
        test_mode=True,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(type='hsjp_mm.LSPPCK')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='pck/mean', rule='greater'))
