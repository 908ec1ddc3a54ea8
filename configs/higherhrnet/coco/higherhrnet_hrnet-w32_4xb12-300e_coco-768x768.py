_base_ = ['./higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py']

input_size = (768, 768)
codec = dict(_base_.codec, input_size=input_size, heatmap_size=(192, 192))

model = dict(head=dict(decoder=dict(codec, heatmap_size=input_size)))

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(input_size=input_size)
train_pipeline[3].update(encoder=[codec, dict(codec, heatmap_size=(384, 384))])
val_pipeline = _base_.val_pipeline
val_pipeline[1].update(input_size=input_size)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
