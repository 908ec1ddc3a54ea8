"""Show in which patches of their boxes keypoints lie: the priors of the HSJP paper's supplement.

hsjp-mm priors person_keypoints_train2017.json --out priors

Prints a table, by rows and columns of patches; priors.json in the folder has every patch, and
head.png, upper_limbs.png, lower_limbs.png show them.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import existing_file, writable_folder

if TYPE_CHECKING:
    from hsjp_mm.analysis.keypoint_priors import KeypointPriors


def arguments() -> Parser:
    parser = Parser(__doc__, {'path=': 'ANNOTATIONS='})
    parser.add_input(
        'annotations',
        existing_file,
        nargs='+',
        help='COCO-style or MPII-style JSONs of the same keypoints',
    )
    parser.add_argument('--grid', type=int, default=3, help='patches along a side (%(default)s)')
    parser.add_out('folder', 'keypoint_priors', writable_folder)
    return parser


def table(priors: 'KeypointPriors') -> str:
    grid = priors.shares.shape[1]
    heads = [
        f'{kind} {i + 1}' for kind in ('row', 'col') for i in range(grid)
    ]  # from the top and from the left
    width = max(map(len, priors.names))
    lines = [f'{"in %":{width}} labelled  outside ' + ''.join(f'{head:>7}' for head in heads)]
    for name, number, outside, shares in zip(
        priors.names, priors.labelled, priors.outside, priors.shares, strict=True
    ):
        values = (*shares.sum(axis=1), *shares.sum(axis=0))
        cells = ''.join(f'{100 * value:7.1f}' if number else f'{"–":>7}' for value in values)
        beyond = f'{100 * outside:8.1f}' if number else f'{"–":>8}'
        lines.append(f'{name:{width}} {number:8,} {beyond} {cells}')
    return '\n'.join(lines)


def counts(priors: 'KeypointPriors') -> str:
    left_out = {
        'without keypoints': priors.unlabelled,
        'with a box without area': priors.without_area,
        'crowds': priors.crowds,
    }
    rest = ', '.join(f'{number:,} {what}' for what, number in left_out.items())
    return f'{priors.persons:,} persons; left out: {rest}'


@command(arguments)
def main(args: argparse.Namespace) -> int:
    from hsjp_mm.analysis.keypoint_priors import measure_priors
    from hsjp_mm.analysis.persons import read_persons
    from hsjp_mm.visualization import plot_keypoint_priors

    priors = measure_priors(read_persons(*args.annotations), args.grid)
    out = Path(args.out)
    pictures = plot_keypoint_priors(priors, out)
    numbers = out / 'priors.json'
    numbers.write_text(json.dumps(priors.to_dict(), indent=2) + '\n')
    print(counts(priors), table(priors), *(numbers, *pictures), sep='\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
