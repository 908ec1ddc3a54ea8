_base_ = ['../_base_/dense-labels_toy-96x96.py']

model = dict(type='hsjp_mm.PartSegmentation', head=dict(type='hsjp_mm.PartSegmentationHead'))

val_evaluator = dict(type='hsjp_mm.PartIoU')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='parts/iou', rule='greater'))
