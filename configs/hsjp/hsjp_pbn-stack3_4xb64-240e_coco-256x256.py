_base_ = ['./hsjp_pbn-stack8_4xb64-240e_coco-256x256.py']

model = dict(backbone=dict(num_stacks=3))
