_base_ = ['./pbn_stack8_1xb16-250e_mpii-256x256.py']

model = dict(type='hsjp_mm.MultiscaleTopdownPoseEstimator')
test_dataloader = dict(dataset=dict(pipeline=_base_.pyramid_pipeline))
