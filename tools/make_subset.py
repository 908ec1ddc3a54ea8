"""Write a share of a COCO keypoint file, and beside it a manifest.

The choice is that of hsjp_mm.LabelSubset, by images or by persons; smaller subsets lie inside
larger ones of the same seed. The images that are kept keep all their annotations; by persons, those
that were not chosen stay as persons without keypoints.

Example:
    hsjp-mm subset person_keypoints_train2017.json --out subset.json --fraction 0.1
"""

import argparse
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import existing_file, writable_file

UNITS = ('images', 'persons')


def arguments() -> Parser:
    parser = Parser(__doc__, {'ann_file=': 'ANNOTATIONS=', 'the ann_file': 'ANNOTATIONS'})
    parser.add_input('annotations', existing_file, help='COCO JSON with keypoints')
    parser.add_out('JSON to write; OUT.manifest.json goes beside it', check=writable_file)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument('--fraction', type=float, help='share to take, in (0, 1]')
    size.add_argument('--number', type=int, help='or how many to take')
    parser.add_argument('--by', choices=UNITS, default='images', help='what is counted')
    parser.add_argument('--seed', type=int, default=0, help='of the choice')
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    from hsjp_mm.datasets.subset_files import manifest_path, write_subset

    out = Path(args.out)
    made = write_subset(args.annotations, out, args.fraction, args.number, args.by, args.seed)
    source = made['source']
    print(
        f'{out}: {made["images"]} of {source["labelled_images"]} images with labelled persons,'
        f' {made["labelled_persons"]} of {source["labelled_persons"]} labelled persons; seed '
        f'{args.seed}, manifest {manifest_path(out)}'
    )
    if made['unlabelled_here']:
        print(f'{made["unlabelled_here"]} other persons in these images lost their keypoints')
    if made['unlabelled_here_without_segmentation']:
        print(
            f'warning: {made["unlabelled_here_without_segmentation"]} of them have no segmentation '
            'to mask them by: bottom-up training would take them for background'
        )


if __name__ == '__main__':
    sys.exit(main())
