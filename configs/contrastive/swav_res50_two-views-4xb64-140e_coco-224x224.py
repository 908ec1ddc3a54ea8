_base_ = ['./swav_res50_4xb64-140e_coco-224x224.py', '../_base_/swav-two-views.py']

# without multi-crop
model = dict(views=_base_.two_views)
