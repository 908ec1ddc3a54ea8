"""What mesh regressors have in common on any data: the model but its network, and the measure."""

_base_ = ['mmpose::_base_/default_runtime.py']

model = dict(
    type='hsjp_mm.MeshEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    body=dict(type='hsjp_mm.BodyModel', file='free'),
    test_cfg=dict(flip_test=True),
)

val_evaluator = dict(type='hsjp_mm.MeshError')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='mesh/PA-MPJPE', rule='less', max_keep_ckpts=1))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='hsjp_mm.SeedHook'),
    dict(type='hsjp_mm.PrepareDataHook'),
]
