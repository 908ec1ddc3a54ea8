_base_ = ['./detcon-b_res50_4xb64-140e_coco-224x224.py']

model = dict(segments=dict(method='annotation'))

train_dataloader = dict(dataset=dict(annotation_keys=['segmentation']))
val_dataloader = dict(dataset=dict(annotation_keys=['segmentation']))
test_dataloader = val_dataloader
