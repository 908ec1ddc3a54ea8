"""Measure what a backbone is worth for image classification.

    hsjp-mm probe CONFIG CHECKPOINT DATA --protocol linear

linear trains a linear layer on the frozen backbone, knn lets the nearest training images vote,
finetune trains everything. CHECKPOINT 'none' leaves the weights random: the floor to compare with.
DATA is a folder with train/CLASS/*.jpg and val/CLASS/*.jpg, or cifar10:PATH or cifar100:PATH.
"""

import argparse
import json
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file
from hsjp_mm.utils.files import checkpoint_file, writable_file

PROTOCOLS = ('linear', 'knn', 'finetune')


def weights_or_none(name: str, argument: str) -> None:
    """Expect a checkpoint, or 'none'."""
    if name != 'none':
        checkpoint_file(name, argument)


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input('config', config_file, help='any config with model.backbone')
    parser.add_input(
        'checkpoint', weights_or_none, help="a file or address with the backbone, or 'none'"
    )
    parser.add_argument('data', help='image folder, cifar10:PATH or cifar100:PATH')
    parser.add_argument('--protocol', required=True, choices=PROTOCOLS)
    parser.add_argument(
        '--labels', type=float, default=1.0, help='share of the training images, of every class'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--epochs', type=int, help='default 100')
    parser.add_argument('--batch-size', type=int, default=256, help='(%(default)s)')
    parser.add_argument(
        '--lr',
        type=float,
        help='linear: of the linear layer, default 10 × batch / 256; finetune: of the backbone, '
        'default 0.01 × batch / 256, or 0.02 with at most 1 %% of the labels',
    )
    parser.add_argument(
        '--lr-last-layer',
        type=float,
        help='finetune: of the linear layer, default 0.2 × batch / 256, or 5 with at most 1 %%',
    )
    parser.add_argument('--size', type=int, default=224, help='side of the crops (%(default)s)')
    parser.add_argument('--workers', type=int, default=2, help='loading processes (%(default)s)')
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, … (%(default)s)')
    parser.add_out('JSON to write', 'probe.json', writable_file)
    parser.add_cfg_options()
    return parser


def summary(result: dict) -> str:
    top5 = '' if result['top5'] is None else f', top-5 {result["top5"]:.1%}'
    return (
        f'{result["protocol"]}: top-1 {result["top1"]:.1%}{top5} (chance {result["chance"]:.1%}) '
        f'on {result["val_images"]} images of {result["classes"]} classes; trained on '
        f'{result["train_images"]} ({result["labels"]:.1%} of the labels); {result["coverage"]}; '
        f'{result["seconds"]} s'
    )


@command(arguments)
def main(args: argparse.Namespace) -> int:
    from hsjp_mm.probing.classification import probe
    from hsjp_mm.utils.configs import read_config

    config = read_config(args.config, args.cfg_options)
    result = probe(
        config,
        None if args.checkpoint == 'none' else args.checkpoint,
        args.data,
        args.protocol,
        labels=args.labels,
        seed=args.seed,
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        lr_last_layer=args.lr_last_layer,
        size=args.size,
        workers=args.workers,
        device=args.device,
    )
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + '\n')
    print(f'{summary(result)}; {out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
