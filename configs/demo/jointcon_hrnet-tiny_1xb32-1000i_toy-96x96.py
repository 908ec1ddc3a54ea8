_base_ = ['../_base_/views_toy-96x96.py']

model = dict(type='hsjp_mm.JointCon', head=dict(type='hsjp_mm.JointConHead', hidden_channels=256))

# it needs keypoints, and takes the data set that has them
people = dict(_delete_=True, type='CocoDataset', data_root='data/toy/')
train_dataloader = dict(
    dataset=dict(
        **people,
        ann_file='annotations/person_keypoints_train.json',
        data_prefix=dict(img='train/'),
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        **people,
        ann_file='annotations/person_keypoints_val.json',
        data_prefix=dict(img='val/'),
        pipeline=_base_.val_pipeline,
        test_mode=True,
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(type='hsjp_mm.JointRetrieval')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='joints/joint_retrieval'))
