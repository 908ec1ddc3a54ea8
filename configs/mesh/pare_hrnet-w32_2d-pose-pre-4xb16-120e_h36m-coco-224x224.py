_base_ = ['./pare_hrnet-w32_4xb16-120e_h36m-coco-224x224.py']

model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True,
            type='hsjp_mm.PretextInit',
            checkpoint='',
            # what makes the three coarser maps, which a top-down model does not have
            allow_missing=['stage4.2.fuse_layers.[123].*'],
        )
    )
)
