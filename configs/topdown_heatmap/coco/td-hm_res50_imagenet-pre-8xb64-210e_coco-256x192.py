_base_ = ['mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py']

custom_hooks = [*_base_.custom_hooks, dict(type='hsjp_mm.SeedHook')]
