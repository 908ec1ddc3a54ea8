_base_ = ['./jigclu_res50_4xb64-200e_imagenet-224x224.py']

model = dict(head=dict(alpha=0))
