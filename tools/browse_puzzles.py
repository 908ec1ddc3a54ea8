"""Draw puzzles as PNG files: crop, shuffled, input, target, prediction, put back."""

import argparse
from pathlib import Path

import cv2
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope

import hsjp_mm  # noqa: F401  (lets hsjp_mm:: bases resolve)
from hsjp_mm.checkpoint import read_checkpoint
from hsjp_mm.models.pretext.base import instance_ids
from hsjp_mm.visualization import puzzle_boards


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='a config whose model is hsjp_mm.HSJP')
    parser.add_argument('checkpoint', nargs='?', help='without it the network is untrained')
    parser.add_argument('--out', default='puzzles', help='folder of the pictures')
    parser.add_argument('--num', type=int, default=8, help='how many instances')
    parser.add_argument(
        '--split',
        choices=['train', 'val'],
        default='val',
        help='train: random, augmented puzzles; val: the puzzles of the evaluation',
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='as in tools/train.py')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    model = MODELS.build(cfg.model)
    if args.checkpoint:
        model.load_state_dict(read_checkpoint(args.checkpoint)['state_dict'])
    else:
        model.init_weights()
    model.eval()
    dataset = DATASETS.build(cfg[f'{args.split}_dataloader'].dataset)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    for index in range(min(args.num, len(dataset))):
        data = model.data_preprocessor(pseudo_collate([dataset[index]]), False)
        ids = instance_ids(data['data_samples'])
        [board] = puzzle_boards(model, data['inputs'], ids if args.split == 'val' else None)
        path = out / f'{args.split}_{index}.png'
        cv2.imwrite(str(path), board[..., ::-1])
        print(f'{path}: instance {ids[0]} of {data["data_samples"][0].img_path}')


if __name__ == '__main__':
    main()
