_base_ = ['mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py']

# of Simple Baselines, whose steps the study takes; the batch of 128 too, which it does not give
train_dataloader = dict(batch_size=32)
train_cfg = dict(max_epochs=140)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='MultiStepLR', milestones=[90, 120], gamma=0.1, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=128)

custom_hooks = [*_base_.custom_hooks, dict(type='hsjp_mm.SeedHook')]
