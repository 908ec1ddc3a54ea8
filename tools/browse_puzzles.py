"""Draw puzzles as PNG files: what the network sees, what was asked, what it answers."""

import argparse
from pathlib import Path

import cv2
from mmengine.config import Config, DictAction
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import set_random_seed

import hsjp_mm  # noqa: F401  (lets hsjp_mm:: bases resolve)
from hsjp_mm.checkpoint import read_checkpoint
from hsjp_mm.visualization import draw_boards


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='of a pretraining')
    parser.add_argument('checkpoint', nargs='?', help='without it the network is untrained')
    parser.add_argument('--out', default='puzzles', help='folder of the pictures')
    parser.add_argument(
        '--num', type=int, default=8, help='how many instances; JigClu shows up to 8 on a board'
    )
    parser.add_argument(
        '--split',
        choices=['train', 'val'],
        default='val',
        help='train: random, augmented puzzles; val: the puzzles of the evaluation',
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='as in tools/train.py')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
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
    model.prepare(dataset)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    set_random_seed(0)
    indices = list(range(min(args.num, len(dataset))))
    for i, (text, board) in enumerate(draw_boards(model, dataset, indices, args.split == 'val')):
        path = out / f'{args.split}_{i}.png'
        cv2.imwrite(str(path), board[..., ::-1])
        print(f'{path}: {text}')


if __name__ == '__main__':
    main()
