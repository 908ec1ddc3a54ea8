"""Render a toy data set of people with COCO keypoints.

    hsjp-mm toy --out data/toy --train 400 --val 100 --preview toy.png
    hsjp-mm toy --kind bodies --out data/toy --train 1200 --val 300 --workers 2

Figures are drawn in two dimensions, and are quick. Bodies are the free body in poses of everyday
life, seen in perspective; they come with meshes, masks of parts and places on the surface, too.
"""

import argparse
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import writable_file, writable_folder

PACKAGES = {'figures': 'toy', 'bodies': 'toy_bodies'}
ONLY_BODIES = ('backgrounds', 'look', 'workers')


def arguments() -> Parser:
    names = {'num_train': '--train', 'num_val': '--val', 'folder=': '--out=', 'look=': '--look='}
    parser = Parser(__doc__, names)
    parser.add_out('folder to write it to; new or empty', check=writable_folder)
    parser.add_argument('--kind', choices=[*PACKAGES], default='figures', help='of people')
    parser.add_argument('--train', type=int, default=400, help='training images (%(default)s)')
    parser.add_argument('--val', type=int, default=100, help='validation images (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same files (%(default)s)')
    parser.add_argument('--backgrounds', type=Path, help='folder of pictures to put behind bodies')
    parser.add_argument('--look', help='of bodies: varied, or plain, one color each (varied)')
    parser.add_argument('--workers', type=int, help='processes that draw bodies (1)')
    parser.add_output(
        '--preview', writable_file, type=Path, help='picture of labelled training images to write'
    )
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    options = {name: getattr(args, name) for name in ONLY_BODIES if getattr(args, name) is not None}
    if options and args.kind != 'bodies':
        raise ValueError(f'{", ".join(f"--{name}" for name in options)} needs --kind bodies')
    people = import_module(f'hsjp_mm.datasets.{PACKAGES[args.kind]}')
    from hsjp_mm.datasets.image_files import write_picture
    from hsjp_mm.utils.progress import track

    start = time.perf_counter()
    folder = Path(args.out)
    progress = partial(track, what='images')
    people.render(folder, args.train, args.val, args.seed, progress=progress, **options)
    print(f'{args.train + args.val} images in {time.perf_counter() - start:.1f} s: {folder}')
    if args.preview:
        write_picture(args.preview, people.contact_sheet(folder, 'train'))
        print(f'preview: {args.preview}')


if __name__ == '__main__':
    sys.exit(main())
