_base_ = ['../_base_/mae_coco-256x192.py']

model = _base_.mae
