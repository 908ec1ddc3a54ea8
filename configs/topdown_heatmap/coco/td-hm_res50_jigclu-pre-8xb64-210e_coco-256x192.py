_base_ = ['mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py']

model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='hsjp_mm.PretextInit', checkpoint='')))
