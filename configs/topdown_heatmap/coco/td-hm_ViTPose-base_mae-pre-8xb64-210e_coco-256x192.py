_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-base_8xb64-210e_coco-256x192.py'
]

model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='hsjp_mm.PretextInit', checkpoint='')))
custom_hooks = [*_base_.custom_hooks, dict(type='hsjp_mm.SeedHook')]
