_base_ = ['./mocov2_res50_4xb64-140e_coco-224x224.py']

model = dict(head=dict(queue_length=4096))
