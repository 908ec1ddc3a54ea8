_base_ = ['./pare_res50_4xb16-120e_h36m-coco-224x224.py']

# box position and size as input, and the 2D loss through the camera of the whole image
model = dict(head=dict(box_info=True), full_image=True)
