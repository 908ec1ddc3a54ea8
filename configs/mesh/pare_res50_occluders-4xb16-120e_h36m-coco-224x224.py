_base_ = ['./pare_res50_4xb16-120e_h36m-coco-224x224.py']

# PARE's occluders are objects of Pascal VOC; where they stand in the pipeline is the same
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='hsjp_mm.MeshOccluders'),
    *_base_.train_pipeline[-1:],
]
train_sets = [{**one, 'pipeline': train_pipeline} for one in _base_.train_sets]
train_dataloader = dict(dataset=dict(datasets=train_sets))
