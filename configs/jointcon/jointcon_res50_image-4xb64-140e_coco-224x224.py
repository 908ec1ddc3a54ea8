_base_ = ['./jointcon_res50_4xb64-140e_coco-224x224.py']

model = dict(positives='image')
default_hooks = dict(checkpoint=dict(save_best='joints/image_retrieval'))
