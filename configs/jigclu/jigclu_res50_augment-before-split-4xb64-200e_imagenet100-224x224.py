_base_ = ['./jigclu_res50_4xb64-200e_imagenet100-224x224.py']

patches = dict(position='before_split')
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(patches)
val_pipeline = _base_.val_pipeline
val_pipeline[1].update(patches)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
