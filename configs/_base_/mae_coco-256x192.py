"""MAE on all person boxes of COCO, for ViTPose: data, schedule, measures, pictures.

The optimizer, its schedule and the decoder are those of the MAE paper (table 8), the number of
epochs is that of the weights which ViTPose starts from, and crops and input are ViTPose's.
"""

_base_ = ['./person-crops_coco-224x224.py']

input_size = (192, 256)
affine = dict(type='hsjp_mm.InputAffine', input_size=input_size, use_udp=True)  # as ViTPose's

vit = dict(
    type='mmpretrain.VisionTransformer',
    arch='base',
    img_size=(256, 192),
    patch_size=16,
    qkv_bias=True,
    with_cls_token=False,
    out_type='featmap',
    patch_cfg=dict(padding=2),
    init_cfg=[
        dict(type='Xavier', layer='Linear', distribution='uniform'),
        dict(type='Constant', layer='LayerNorm', val=1.0),
    ],
)
mae = dict(
    type='hsjp_mm.MAE',
    data_preprocessor=_base_.data_preprocessor,
    backbone=vit,
    head=dict(type='hsjp_mm.MAEHead'),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    # In place of the paper's crops of 20 to 100 % of the area, which cut persons to pieces; ours.
    dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), rotate_prob=0.0),
    affine,
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    affine,
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='hsjp_mm.MAEExplainedVariance')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=1600)
optim_wrapper = dict(
    # 1.5e-4 for 256 crops a step; the paper has 4096 and in proportion a higher rate
    optimizer=dict(type='AdamW', lr=3e-4, betas=(0.9, 0.95), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={'mask_token': dict(decay_mult=0.0)},
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, end=40, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=40,
        end=1600,
        T_max=1560,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=512)

default_hooks = dict(checkpoint=dict(save_best='mae/explained', rule='greater', max_keep_ckpts=2))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='hsjp_mm.SeedHook'),
    dict(type='hsjp_mm.SkippedImagesHook'),
    dict(type='hsjp_mm.PuzzleVisualizationHook'),
]
