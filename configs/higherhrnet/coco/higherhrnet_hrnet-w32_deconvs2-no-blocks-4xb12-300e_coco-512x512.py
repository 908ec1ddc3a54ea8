_base_ = ['./higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py']

model = dict(head=dict(num_deconvs=2, num_blocks=0))

train_pipeline = _base_.train_pipeline
finest = dict(_base_.codec, heatmap_size=_base_.input_size)
train_pipeline[3].update(encoder=[*train_pipeline[3].encoder, finest])
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
