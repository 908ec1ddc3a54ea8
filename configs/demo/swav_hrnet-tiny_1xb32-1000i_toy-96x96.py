_base_ = ['../_base_/views_toy-96x96.py', '../_base_/swav-two-views.py']

# With 32 crops a step the authors' 0.05 for epsilon makes all assignments alike, and nothing is
# learnt; rows of a queue are of another network than those of this step, which changes fast; and
# small views would be hands and background of 41 pixels.
model = dict(
    type='hsjp_mm.SwAV',
    views=_base_.two_views,
    head=dict(
        type='hsjp_mm.SwAVHead', hidden_channels=256, prototypes=100, epsilon=0.01, frozen_steps=0
    ),
)
