"""Write a share of a COCO keypoint file, and beside it a manifest.

The choice is that of hsjp_mm.LabelSubset, by images or by persons; smaller subsets lie inside
larger ones of the same seed. The images that are kept keep all their annotations; by persons, those
that were not chosen stay as persons without keypoints.

Example:
    python tools/make_subset.py person_keypoints_train2017.json subset.json --fraction 0.1
"""

import argparse
import sys
from pathlib import Path

from hsjp_mm.datasets.label_subset import UNITS, manifest_path, write_subset


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ann_file', type=Path, help='COCO JSON with keypoints')
    parser.add_argument('out', type=Path, help='JSON to write; OUT.manifest.json goes beside it')
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument('--fraction', type=float, help='share to take, in (0, 1]')
    size.add_argument('--number', type=int, help='or how many to take')
    parser.add_argument('--by', choices=list(UNITS), default='images', help='what is counted')
    parser.add_argument('--seed', type=int, default=0, help='of the choice')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        made = write_subset(args.ann_file, args.out, args.fraction, args.number, args.by, args.seed)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')
    source = made['source']
    print(
        f'{args.out}: {made["images"]} of {source["labelled_images"]} images with labelled persons,'
        f' {made["labelled_persons"]} of {source["labelled_persons"]} labelled persons; seed '
        f'{args.seed}, manifest {manifest_path(args.out)}'
    )
    if made['unlabelled_here']:
        print(f'{made["unlabelled_here"]} other persons in these images lost their keypoints')
    if made['unlabelled_here_without_segmentation']:
        print(
            f'warning: {made["unlabelled_here_without_segmentation"]} of them have no segmentation '
            'to mask them by: bottom-up training would take them for background'
        )


if __name__ == '__main__':
    main()
