"""Render a toy data set of people with COCO keypoints.

Example:
    python tools/make_toy_data.py data/toy_people --train 400 --val 100 --preview toy.png
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
from mmengine.utils import track_iter_progress

from hsjp_mm.datasets.toy import contact_sheet, render


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Render a toy data set of people, COCO keypoints')
    parser.add_argument('folder', type=Path, help='where to write it; new or empty')
    parser.add_argument('--train', type=int, default=400, help='number of training images')
    parser.add_argument('--val', type=int, default=100, help='number of validation images')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes')
    parser.add_argument('--preview', type=Path, help='picture of labelled training images to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    start = time.perf_counter()
    try:
        render(args.folder, args.train, args.val, args.seed, progress=track_iter_progress)
    except (ValueError, FileExistsError) as error:
        sys.exit(f'error: {error}')
    print(f'\n{args.train + args.val} images in {time.perf_counter() - start:.1f} s: {args.folder}')
    if args.preview:
        args.preview.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(args.preview), contact_sheet(args.folder, 'train')):
            sys.exit(f'error: could not write --preview {args.preview}')
        print(f'preview: {args.preview}')


if __name__ == '__main__':
    main()
