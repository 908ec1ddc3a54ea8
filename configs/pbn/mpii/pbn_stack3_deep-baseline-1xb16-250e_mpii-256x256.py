_base_ = ['./pbn_stack3_1xb16-250e_mpii-256x256.py']

model = dict(backbone=dict(part_groups=None, num_keypoints=16))
