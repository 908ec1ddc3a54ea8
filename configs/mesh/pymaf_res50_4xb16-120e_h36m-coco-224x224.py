_base_ = ['./pare_res50_4xb16-120e_h36m-coco-224x224.py']

model = dict(
    head=dict(_delete_=True, type='hsjp_mm.PyMAFHead', in_channels=2048),
    # as in PyMAF's code: the scale and the parts have a weight of 1, all else SPIN's times 60
    loss=dict(type='hsjp_mm.MeshLoss', scale=1 / 60, parts=1 / 60),
)
