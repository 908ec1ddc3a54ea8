# LSP extended's first 6,000 photographs to pretrain on and the next 1,000 to watch;
# configs/study/README.md says how to make the JSON files.
lspet = dict(data_root='data/lspet/', data_prefix=dict(img='images/'))
lspet_train = dict(**lspet, ann_file='train.json')
lspet_val = dict(**lspet, ann_file='val.json')
