_base_ = ['./jigclu_res18_4xb64-200e_imagenet100-224x224.py']

model = dict(overlap=0.1)
