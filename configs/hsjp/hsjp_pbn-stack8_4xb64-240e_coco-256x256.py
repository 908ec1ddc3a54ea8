_base_ = ['../_base_/hsjp_coco-224x224.py']

model = dict(
    type='hsjp_mm.HSJP',
    grid=6,
    input_size=(256, 256),  # 64 must divide it
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='hsjp_mm.PartBranchHourglass', num_stacks=8),
    head=dict(type='hsjp_mm.HSJPStackHead'),
)
