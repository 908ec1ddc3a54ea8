_base_ = ['./jigclu_res50_4xb64-200e_imagenet-224x224.py']

model = dict(
    # its halves are longer by 0.3 of the side, so two of them share 0.6
    overlap=0.6,
    # its loss is multiplied by the temperature divided by 0.07
    head=dict(alpha=0.3 / 0.07),
)
