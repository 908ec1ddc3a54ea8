_base_ = ['./hmr2_ViTPose-small_2d-pose-pre-4xb16-120e_h36m-coco-256x192.py']

model = dict(
    backbone=dict(_delete_=True, **{**_base_.vit, 'arch': 'base', 'drop_path_rate': 0.3}),
    head=dict(in_channels=768),
)
