_base_ = ['./simclr_res50_4xb64-140e_coco-224x224.py']

model = dict(head=dict(temperature=0.5))
