"""Measure the cost of pretraining against what one would run instead, each in one process run.

step             a training step of HSJP against one of the same network as stock top-down
                 estimator with as many keypoints as patches
pipeline         a sample of the HSJP data pipeline against the stock top-down one on the same
                 persons
photo-pipeline   the same on their photographs enlarged to --megapixels, which HSJP decodes no
                 larger than its crops need; and with what is decoded kept for the next person
store            a sample of HSJP from a store of crops against the stock top-down one on the same
                 persons: of the photographs as they are, enlarged to --megapixels, and shrunk
jigclu-pipeline  a sample of the JigClu data pipeline, 2×2 patches of 112×112, against the same
                 recipe in PIL and torchvision, as the authors' code has it, on the same persons
jigclu-step      a training step of JigClu on ResNet-50 against one that sees two augmented views
                 of each image, as SimCLR's, in time and in peak memory
pbn-step         a training step of PBN against one of the stock hourglass, three stacks each, in
                 time and in peak memory
mesh-step        a training step of HMR and one of PARE against one of their ResNet-50 alone, in
                 time and in peak memory
pretext-step     a training step of each of --configs against one of the first, on the same
                 persons, in time and in peak memory
step-options     a training step of each of --configs, pretrainings or mesh regressors, with the
                 channels of a pixel together in memory, with bfloat16, with a fused optimizer, with
                 all three and, with --compile, compiled, against the plain one, in time and in peak
                 memory; and the plain one's share of the speed of a product of matrices
communication    what --processes of a training send each other in a step of each of --configs, and
                 the share of the time that it takes
decode           grouping keypoints to persons against the stock decoder and against one pass over
                 the maps, by map size and persons, in CPU time, with the two tags of the flip
                 test; the maps hold noise, and a fifth of the keypoints is missing; and from the
                 network's maps, with few of their blocks enlarged, against enlarging all
dataset          loading PersonCropDataset and stock CocoDataset from a synthetic annotation file
                 of --images and --boxes
boxes            loading PersonCropDataset from a synthetic file of a quarter, a half and all of
                 --boxes, with the memory of four workers, and again from its cache
"""

import argparse
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file
from hsjp_mm.utils.files import existing_file

MEASURES = (
    'step', 'pipeline', 'photo-pipeline', 'store', 'jigclu-pipeline', 'jigclu-step', 'pbn-step',
    'mesh-step', 'pretext-step', 'step-options', 'communication', 'decode', 'dataset', 'boxes',
)  # fmt: skip


OF_DATA = (
    'pipeline',
    'photo-pipeline',
    'store',
    'jigclu-pipeline',
    'pretext-step',
    'step-options',
    'communication',
)


COUNTS = (
    'batch', 'side', 'processes', 'rounds', 'persons', 'map_sizes', 'crowds', 'images', 'boxes',
    'threads',
)  # fmt: skip


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_argument('what', choices=MEASURES, metavar='WHAT', help='one of the above')
    parser.add_argument('--data', default='data/coco', help='COCO folder for the pipelines')
    parser.add_argument('--split', default='train2017', help='images and annotations of it')
    parser.add_argument('--batch', type=int, default=8, help='images of a step')
    parser.add_argument(
        '--side', type=int, help='of the images of a step, in pixels (256 for pbn-step, else 224)'
    )
    parser.add_input(
        '--configs',
        config_file,
        nargs='+',
        metavar='CONFIG',
        help='of pretext-step, step-options and communication: training configs',
    )
    parser.add_argument(
        '--compile', action='store_true', help='measure torch.compile too, which takes minutes'
    )
    parser.add_argument('--processes', type=int, default=2, help='of communication')
    parser.add_argument('--rounds', type=int, default=7, help='measured repetitions')
    parser.add_argument('--persons', type=int, default=200, help='samples of the pipelines')
    parser.add_argument(
        '--megapixels', type=float, default=12, help='of the images of photo-pipeline and store'
    )
    parser.add_argument(
        '--map-sizes', type=int, nargs='+', default=[128, 256, 512], help='of decode, in cells'
    )
    parser.add_argument(
        '--crowds', type=int, nargs='+', default=[1, 5, 10, 20, 30], help='of decode, in persons'
    )
    parser.add_argument('--images', type=int, default=64_000, help='of the annotation file')
    parser.add_argument('--boxes', type=int, default=262_000, help='of the annotation file')
    parser.add_argument('--device', default='cpu', help='of the step')
    parser.add_argument('--threads', type=int, help="torch's, by default as many as it takes")
    parser.add_argument('--load', nargs=2, metavar=('DATASET', 'FILE'), help=argparse.SUPPRESS)
    parser.add_argument('--memory-of', help=argparse.SUPPRESS)
    return parser


def check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers with which there is nothing to measure."""
    for name in COUNTS:
        given = getattr(args, name)
        for number in given if isinstance(given, list) else [given]:
            if number is not None and number < 1:
                raise ValueError(f'{name}={number} must be at least 1')
    if not 0 < args.megapixels < float('inf'):
        raise ValueError(f'megapixels={args.megapixels} must be above 0')
    least = {'dataset': args.images, 'boxes': 4}.get(args.what, 1)
    if args.boxes < least:
        raise ValueError(f'boxes={args.boxes} must be at least {least}')


@command(arguments)
def main(args: argparse.Namespace) -> None:
    check_numbers(args)
    if args.what in OF_DATA:  # before the imports, which take seconds
        existing_file(Path(args.data, f'annotations/person_keypoints_{args.split}.json'), 'data')

    from hsjp_mm.benchmarks.running import run

    run(args)


if __name__ == '__main__':
    sys.exit(main())
