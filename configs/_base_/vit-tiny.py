"""A vision transformer of 1.3 M parameters for two CPU cores: 12×12 patches of crops of 96×96."""

vit_tiny = dict(
    type='mmpretrain.VisionTransformer',
    arch=dict(embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=512),
    img_size=(96, 96),
    patch_size=8,
    qkv_bias=True,
    with_cls_token=False,
    out_type='featmap',
    patch_cfg=dict(padding=1),  # 2 of 16, as in ViTPose
    init_cfg=[
        dict(type='Xavier', layer='Linear', distribution='uniform'),
        dict(type='Constant', layer='LayerNorm', val=1.0),
    ],
)
