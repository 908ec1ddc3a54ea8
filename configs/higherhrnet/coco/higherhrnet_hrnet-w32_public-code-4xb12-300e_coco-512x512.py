_base_ = ['./higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py']

# of a crop that counts as 200 pixels, the shift is 40
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(max_shift=0.2 * _base_.input_size[0])
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
