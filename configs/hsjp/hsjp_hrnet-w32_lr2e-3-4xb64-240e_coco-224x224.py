_base_ = ['./hsjp_hrnet-w32_4xb64-240e_coco-224x224.py']

optim_wrapper = dict(optimizer=dict(lr=2e-3))
