_base_ = ['../_base_/views_toy-96x96.py']

# keys that follow faster, and a shorter queue, for the run is short
model = dict(
    type='hsjp_mm.MoCo',
    momentum=0.01,
    head=dict(type='hsjp_mm.MoCoHead', hidden_channels=256, queue_length=1024),
)
