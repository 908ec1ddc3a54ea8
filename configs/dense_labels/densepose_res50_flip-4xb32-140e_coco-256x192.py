_base_ = ['./densepose_res50_4xb32-140e_coco-256x192.py']

train_dataloader = dict(
    dataset=dict(
        symmetry_file='annotations/UV_symmetry_transforms.mat',
        # RandomFlip stands third, as in part segmentation
        pipeline=[
            *_base_.train_pipeline[:2],
            dict(type='RandomFlip', direction='horizontal'),
            *_base_.train_pipeline[2:],
        ],
    )
)
