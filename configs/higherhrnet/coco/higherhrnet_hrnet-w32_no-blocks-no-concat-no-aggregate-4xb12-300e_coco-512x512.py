_base_ = ['./higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py']

model = dict(head=dict(num_blocks=0, concat=False), test_cfg=dict(aggregate=False))
