_base_ = ['./faster-rcnn_r50_jigclu-pre_fpn_1x_coco.py']
