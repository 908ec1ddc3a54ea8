_base_ = ['./pbn_stack8_1xb16-250e_mpii-256x256.py']

model = dict(backbone=dict(num_stacks=1), head=dict(num_stages=1))
