_base_ = ['./jigclu_res50_4xb64-200e_imagenet-224x224.py']

# its loss is multiplied by the temperature divided by 0.07
model = dict(head=dict(alpha=0.3 / 0.07))

# its halves are longer by 0.3 of the side, so two of them share 0.6
patches = dict(overlap=0.6)
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(patches)
val_pipeline = _base_.val_pipeline
val_pipeline[1].update(patches)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
