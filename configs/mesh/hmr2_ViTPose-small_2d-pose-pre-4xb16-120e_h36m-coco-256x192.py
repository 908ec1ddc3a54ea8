_base_ = ['../_base_/mesh_h36m-coco-256x192.py']

vit = dict(
    type='mmpretrain.VisionTransformer',
    arch=dict(embed_dims=384, num_layers=12, num_heads=12, feedforward_channels=1536),
    img_size=(256, 192),
    patch_size=16,
    qkv_bias=True,
    drop_path_rate=0.1,
    with_cls_token=False,
    out_type='featmap',
    patch_cfg=dict(padding=2),
    init_cfg=dict(type='hsjp_mm.PretextInit', checkpoint=''),
)

# the camera of the image and the box are CLIFF's; HMR 2.0 has neither
model = dict(
    backbone=vit,
    head=dict(type='hsjp_mm.HMR2Head', in_channels=384, box_info=True),
    full_image=True,
)

# HMR 2.0's learning rate, at a batch of 384; its weights of the losses are others than HMR's here
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-5, weight_decay=1e-4))
