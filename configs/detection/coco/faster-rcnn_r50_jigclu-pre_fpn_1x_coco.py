_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py']

# nothing is frozen, and the statistics of the batch norms are learnt over all GPUs
model = dict(
    backbone=dict(
        frozen_stages=-1,
        norm_eval=False,
        norm_cfg=dict(type='SyncBN'),
        init_cfg=dict(_delete_=True, type='hsjp_mm.PretextInit', checkpoint=''),
    )
)

custom_hooks = [dict(type='hsjp_mm.SeedHook')]
