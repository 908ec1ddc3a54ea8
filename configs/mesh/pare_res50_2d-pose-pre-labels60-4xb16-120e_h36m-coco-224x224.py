_base_ = ['./pare_res50_2d-pose-pre-4xb16-120e_h36m-coco-224x224.py']

# 60 % of each, by images; the study does not say how it chose. Its epochs stay 120, of 60 %
train_sets = [{**one, 'fraction': 0.6} for one in _base_.train_sets]
train_dataloader = dict(
    sampler=dict(num_samples=288_000),
    dataset=dict(datasets=train_sets),
)
