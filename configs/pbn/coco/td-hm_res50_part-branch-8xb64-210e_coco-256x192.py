_base_ = ['../../topdown_heatmap/coco/td-hm_res50_imagenet-pre-8xb64-210e_coco-256x192.py']

model = dict(
    head=dict(
        type='hsjp_mm.PartBranchHead',
        part_groups='configs/pbn/part_groups/coco.json',
    )
)
