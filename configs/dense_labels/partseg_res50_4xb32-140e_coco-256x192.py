_base_ = ['../_base_/dense-labels_coco-256x192.py']

model = dict(
    type='hsjp_mm.PartSegmentation',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type='ResNet',
        depth=50,
        # as Simple Baselines; the study does not say from which weights
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    head=dict(type='hsjp_mm.PartSegmentationHead', in_channels=2048),
)

val_evaluator = dict(type='hsjp_mm.PartIoU')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='parts/iou', rule='greater', max_keep_ckpts=2))
