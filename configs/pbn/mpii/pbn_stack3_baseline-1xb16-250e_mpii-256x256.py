_base_ = ['./pbn_stack3_deep-baseline-1xb16-250e_mpii-256x256.py']

model = dict(backbone=dict(depth=0))
