_base_ = ['./higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py']

model = dict(head=dict(num_deconvs=0))

train_pipeline = _base_.train_pipeline
train_pipeline[3].update(encoder=[_base_.codec])
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
