_base_ = ['./pare_res50_4xb16-120e_h36m-coco-224x224.py', '../_base_/hrnet-w32.py']

hrnet_w32 = _base_.hrnet_w32
hrnet_w32.extra.stage4.update(multiscale_output=True)

model = dict(
    backbone=dict(
        _delete_=True,
        **hrnet_w32,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmpose/'
            'pretrain_models/hrnet_w32-36af842e.pth',
        ),
    ),
    # all four resolutions in one map; PARE has convolutions before it puts them together
    neck=dict(type='FeatureMapProcessor', concat=True),
    head=dict(
        in_channels=480,
        deconv_out_channels=None,
        # mmhuman3d's numbers; the paper gives none
        conv_out_channels=(128, 128),
        conv_kernel_sizes=(3, 3),
    ),
)
