_base_ = ['./td-hm_res50_scratch-8xb64-210e_coco-256x192.py']

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='hsjp_mm.LabelSubset',
        dataset=_base_.train_dataloader.dataset,
        fraction=0.1,
    )
)
