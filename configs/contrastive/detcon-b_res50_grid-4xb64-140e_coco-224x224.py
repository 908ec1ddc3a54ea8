_base_ = ['./detcon-b_res50_4xb64-140e_coco-224x224.py']

model = dict(segments=dict(method='grid'))
