_base_ = ['./jigclu_res50_4xb64-200e_imagenet100-224x224.py']

model = dict(position='before_split')
