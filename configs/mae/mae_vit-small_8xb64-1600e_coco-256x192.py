_base_ = ['../_base_/mae_coco-256x192.py']

model = _base_.mae
# MMPose's ViTPose-S, which is neither of MMPretrain's small ones
model.backbone.arch = dict(embed_dims=384, num_layers=12, num_heads=12, feedforward_channels=1536)
