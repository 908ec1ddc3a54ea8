_base_ = ['./td-hm_hrnet-w32_hsjp-pre-8xb64-210e_coco-256x192.py']

custom_hooks = [*_base_.custom_hooks, dict(type='hsjp_mm.FreezeHook', layers=[0, 1, 2, 3, 4])]
