"""A HRNet of 0.7 M parameters that learns on two CPU cores; for the demo and the tests."""

hrnet_tiny = dict(
    type='HRNet',
    in_channels=3,
    # torch's weights: those of HRNet's default, of deviation 0.001, take Adam steps that are large
    # beside them, and in few of them learn much less
    init_cfg=None,
    extra=dict(
        stage1=dict(
            num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1,), num_channels=(16,)
        ),
        stage2=dict(
            num_modules=1, num_branches=2, block='BASIC', num_blocks=(1,) * 2, num_channels=(16, 32)
        ),
        stage3=dict(
            num_modules=1,
            num_branches=3,
            block='BASIC',
            num_blocks=(1,) * 3,
            num_channels=(16, 32, 64),
        ),
        stage4=dict(
            num_modules=1,
            num_branches=4,
            block='BASIC',
            num_blocks=(1,) * 4,
            num_channels=(16, 32, 64, 128),
        ),
    ),
)
