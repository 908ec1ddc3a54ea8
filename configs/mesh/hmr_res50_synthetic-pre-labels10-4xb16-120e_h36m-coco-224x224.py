_base_ = ['./hmr_res50_synthetic-pre-4xb16-120e_h36m-coco-224x224.py']

# a tenth of each, by images; the study does not say how it chose. Its epochs stay 120, of a tenth
train_sets = [{**one, 'fraction': 0.1} for one in _base_.train_sets]
train_dataloader = dict(
    sampler=dict(num_samples=48_000),
    dataset=dict(datasets=train_sets),
)
