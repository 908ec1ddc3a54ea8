"""What HRNet-W48 changes in HRNet-W32, with MMPose's weights from ImageNet."""

hrnet_w48 = dict(
    extra=dict(
        stage2=dict(num_channels=(48, 96)),
        stage3=dict(num_channels=(48, 96, 192)),
        stage4=dict(num_channels=(48, 96, 192, 384)),
    ),
    init_cfg=dict(
        checkpoint='https://download.openmmlab.com/mmpose/pretrain_models/hrnet_w48-8ef0771d.pth'
    ),
)
