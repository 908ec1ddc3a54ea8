# a shorter plateau, not in the paper: docs/hsjp.md has what was measured, on a small network
_base_ = ['./hsjp_hrnet-w32_4xb64-240e_coco-224x224.py']

model = dict(backbone=dict(init_cfg=None))  # torch's weights in place of those of deviation 0.001

# about five epochs; a guess
custom_hooks = [*_base_.custom_hooks, dict(type='hsjp_mm.SpatialWarmupHook', iters=5000)]
