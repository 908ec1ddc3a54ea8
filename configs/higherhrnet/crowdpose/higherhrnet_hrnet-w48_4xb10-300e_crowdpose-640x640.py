_base_ = [
    '../coco/higherhrnet_hrnet-w32_4xb12-300e_coco-640x640.py',
    '../../_base_/hrnet-w48.py',
]

codec = dict(_base_.codec, decode_keypoint_order=[0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13])
input_size = codec['input_size']

model = dict(
    backbone=_base_.hrnet_w48,
    head=dict(
        in_channels=48,
        decoder=dict(codec, heatmap_size=input_size),
    ),
)

train_pipeline = _base_.train_pipeline
train_pipeline[3].update(encoder=[codec, dict(codec, heatmap_size=(320, 320))])
dataset_type = 'CrowdPoseDataset'
data_root = 'data/crowdpose/'
data = dict(type=dataset_type, data_root=data_root, data_prefix=dict(img='images/'))
train_dataloader = dict(
    batch_size=10,
    dataset=dict(
        **data,
        ann_file='annotations/mmpose_crowdpose_trainval.json',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/mmpose_crowdpose_test.json'))
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=40)

val_evaluator = dict(
    ann_file=data_root + 'annotations/mmpose_crowdpose_test.json',
    use_area=False,
    iou_type='keypoints_crowd',
    prefix='crowdpose',
)
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='crowdpose/AP'))
