_base_ = [
    'mmpose::body_2d_keypoint/associative_embedding/coco/ae_hrnet-w32_8xb24-300e_coco-512x512.py'
]

# the paper's learning rate and drops, without the stock warm-up
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='MultiStepLR', milestones=[200, 260], gamma=0.1, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=48)

codec = dict(_base_.codec, type='hsjp_mm.AssociativeEmbedding')
input_size = codec['input_size']

model = dict(
    head=dict(
        _delete_=True,
        type='hsjp_mm.HigherHRNetHead',
        in_channels=32,
        decoder=dict(codec, heatmap_size=input_size),
    )
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='hsjp_mm.BottomupRandomAffine', input_size=input_size, max_shift=40),
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='GenerateTarget',
        encoder=[codec, dict(codec, heatmap_size=(256, 256))],  # one for each resolution
        multilevel=True,
    ),
    dict(type='hsjp_mm.BottomupGetHeatmapMask'),
    dict(type='PackPoseInputs'),
]
val_pipeline = _base_.val_pipeline
val_pipeline[1] = dict(type='hsjp_mm.BottomupResize', input_size=input_size)
train_dataloader = dict(batch_size=12, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='hsjp_mm.SeedHook'),
    dict(type='hsjp_mm.BottomupVisualizationHook'),
]
