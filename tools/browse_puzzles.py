"""Draw puzzles as PNG files: what the network sees, what was asked, what it answers."""

import argparse
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file
from hsjp_mm.utils.files import checkpoint_file, writable_folder


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input('config', config_file, help='of a pretraining')
    parser.add_input(
        'checkpoint', checkpoint_file, nargs='?', help='without it the network is untrained'
    )
    parser.add_out('folder of the pictures', 'puzzles', writable_folder)
    parser.add_argument(
        '--num',
        type=int,
        default=8,
        help='how many instances; JigClu shows up to 8 on a board (%(default)s)',
    )
    parser.add_argument(
        '--split',
        choices=['train', 'val'],
        default='val',
        help='train: random, augmented puzzles; val: the puzzles of the evaluation (%(default)s)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of random puzzles (%(default)s)')
    parser.add_cfg_options()
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    if args.num < 1:
        raise ValueError(f'num={args.num} must be at least 1')
    from mmengine.registry import DATASETS, MODELS, init_default_scope
    from mmengine.runner import set_random_seed

    from hsjp_mm.checkpoint import load_model
    from hsjp_mm.datasets.image_files import write_picture
    from hsjp_mm.models import PretextModel
    from hsjp_mm.probing.features import draw_weights
    from hsjp_mm.utils.configs import read_config, required
    from hsjp_mm.visualization import draw_boards

    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    other = {'train': 'val', 'val': 'train'}[args.split]
    loader = required(cfg, f'{args.split}_dataloader', f'; is --split {other} meant?')
    model = MODELS.build(required(cfg, 'model'))
    if not isinstance(model, PretextModel):
        raise ValueError(f'config={args.config!r} is of no pretraining: {type(model).__name__}')
    if args.checkpoint:
        load_model(model, args.checkpoint)
    else:
        draw_weights(model)
    model.eval()
    dataset = DATASETS.build(loader.dataset)
    model.prepare(dataset)
    out = Path(args.out)
    set_random_seed(args.seed)
    indices = list(range(min(args.num, len(dataset))))
    for i, (text, board) in enumerate(draw_boards(model, dataset, indices, args.split == 'val')):
        path = out / f'{args.split}_{i}.png'
        write_picture(path, board[..., ::-1])
        print(f'{path}: {text}')


if __name__ == '__main__':
    sys.exit(main())
