_base_ = ['../_base_/views-lars_coco-224x224.py']

# the authors' recipe for 256 images: a queue after 15 epochs, prototypes still for 5005 steps
model = dict(
    type='hsjp_mm.SwAV',
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50, zero_init_residual=True),
    head=dict(
        type='hsjp_mm.SwAVHead',
        in_channels=2048,
        frozen_steps=5005,
        queue_length=3840,
        queue_start=15 * 585,  # 149,813 person boxes of COCO are 585 batches of 256
    ),
)

optim_wrapper = dict(optimizer=dict(lr=0.6, weight_decay=1e-6))
# no warm-up, and not down to 0
param_scheduler = [
    dict(
        type='CosineAnnealingLR', T_max=140, eta_min=6e-4, by_epoch=True, convert_to_iter_based=True
    )
]
sync_bn = 'torch'
