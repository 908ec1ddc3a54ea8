_base_ = ['./peclr_res50_4xb64-140e_coco-224x224.py']

# the same views, of which nothing is undone: the paper's comparison with SimCLR
model = dict(
    type='hsjp_mm.SimCLR',
    views=[
        dict(
            num=2,
            side=(0.72, 1.2),
            shift=15 / 128,
            rotate=45.0,
            colors=dict(type='hsjp_mm.HSVAugmentation'),
        )
    ],
    head=dict(type='hsjp_mm.SimCLRHead', hidden_channels=512, last_norm=False, temperature=0.5),
)
