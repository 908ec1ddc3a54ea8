_base_ = ['../_base_/jointcon_coco-224x224.py']

# The paper gives the network, the positives, the data and the 140 epochs. Ours are the views (the
# class's recipe), the map and the occluded joints below, the head, and the batch.
model = dict(
    type='hsjp_mm.JointCon',
    positives='joint',
    occluded=True,
    in_index=-1,
    input_size=_base_.input_size,
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=50),
    head=dict(
        type='hsjp_mm.JointConHead',
        in_channels=2048,
        hidden_channels=2048,
        out_channels=128,
        temperature=0.1,
    ),
)
