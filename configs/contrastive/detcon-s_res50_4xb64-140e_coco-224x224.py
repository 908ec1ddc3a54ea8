_base_ = ['./detcon-b_res50_4xb64-140e_coco-224x224.py']

model = dict(type='hsjp_mm.DetConS', head=dict(type='hsjp_mm.DetConSHead'))

# SimCLR's 0.3 for each 256 images: the authors' code is that of DetCon-B alone
optim_wrapper = dict(optimizer=dict(lr=0.3, weight_decay=1e-6))
