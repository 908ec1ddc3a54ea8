"""Views of person boxes with LARS, as methods of large batches use it; a leaf gives the rate."""

_base_ = ['./views_coco-224x224.py']

optim_wrapper = dict(
    constructor='hsjp_mm.LARSConstructor',
    optimizer=dict(_delete_=True, type='mmpretrain.LARS', momentum=0.9),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=130, by_epoch=True, begin=10, end=140),
]
