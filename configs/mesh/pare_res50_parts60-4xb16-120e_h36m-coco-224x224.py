_base_ = ['./pare_res50_4xb16-120e_h36m-coco-224x224.py']

# attention alone for the second half; PARE does so in a second stage, the study does not say
model = dict(loss=dict(type='hsjp_mm.MeshLoss', part_epochs=60))
