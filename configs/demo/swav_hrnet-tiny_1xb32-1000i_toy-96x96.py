_base_ = ['../_base_/views_toy-96x96.py']

model = dict(
    type='hsjp_mm.SwAV',
    head=dict(
        type='hsjp_mm.SwAVHead',
        hidden_channels=256,
        prototypes=100,
        frozen_steps=100,
        queue_length=256,
        queue_start=200,
    ),
)
