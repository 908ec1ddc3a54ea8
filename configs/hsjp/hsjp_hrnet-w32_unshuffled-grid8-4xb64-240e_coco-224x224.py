_base_ = ['./hsjp_hrnet-w32_4xb64-240e_coco-224x224.py']

model = dict(grid=8, unshuffled=True)
