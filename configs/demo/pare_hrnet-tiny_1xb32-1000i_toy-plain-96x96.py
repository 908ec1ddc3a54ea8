# synthetic pretraining in small: rendered people of another look than those of the fine-tuning
_base_ = ['./pare_hrnet-tiny_1xb16-1200i_toy-96x96.py']

data_root = 'data/toy-plain/'

train_dataloader = dict(batch_size=32, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

# the budget of the pretext tasks beside it
train_cfg = dict(max_iters=1000, val_interval=100)
param_scheduler = [dict(type='MultiStepLR', milestones=[750], gamma=0.1, by_epoch=False)]
# PA-MPJPE gets worse while the first is learnt, where the body stands and which way it faces
default_hooks = dict(checkpoint=dict(interval=100, save_best='mesh/MPJPE'))
