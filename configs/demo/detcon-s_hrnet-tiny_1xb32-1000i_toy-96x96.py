_base_ = ['./detcon-b_hrnet-tiny_1xb32-1000i_toy-96x96.py']

model = dict(
    type='hsjp_mm.DetConS',
    head=dict(_delete_=True, type='hsjp_mm.DetConSHead', in_channels=240, hidden_channels=256),
)
