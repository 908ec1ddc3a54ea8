_base_ = ['./hmr2_ViTPose-small_2d-pose-pre-4xb16-120e_h36m-coco-256x192.py']
