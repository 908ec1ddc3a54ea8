"""Render a toy data set of people with COCO keypoints.

hsjp-mm toy --out data/toy --train 400 --val 100 --preview toy.png
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from hsjp_mm.cli import Parser, command


def arguments() -> Parser:
    parser = Parser(__doc__, {'num_train': '--train', 'num_val': '--val', 'folder=': '--out='})
    parser.add_out('folder to write it to; new or empty')
    parser.add_argument('--train', type=int, default=400, help='training images (%(default)s)')
    parser.add_argument('--val', type=int, default=100, help='validation images (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes (%(default)s)')
    parser.add_argument('--preview', type=Path, help='picture of labelled training images to write')
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    import cv2

    from hsjp_mm.datasets.toy import contact_sheet, render
    from hsjp_mm.utils.progress import track

    start = time.perf_counter()
    folder = Path(args.out)
    render(folder, args.train, args.val, args.seed, progress=partial(track, what='images'))
    print(f'{args.train + args.val} images in {time.perf_counter() - start:.1f} s: {folder}')
    if args.preview:
        args.preview.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(args.preview), contact_sheet(folder, 'train')):
            raise ValueError(f'preview={str(args.preview)!r} could not be written')
        print(f'preview: {args.preview}')


if __name__ == '__main__':
    sys.exit(main())
