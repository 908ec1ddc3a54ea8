"""Group keypoints that tell most of each other's place, for the part-based branching network.

hsjp-mm groups poses.csv --groups 5 --out groups.json
hsjp-mm groups annotations.json --dataset CocoDataset --unit box --extent 1.25

Beside the JSON lie two pictures: of the mutual information (….matrix.png) and of the skeleton
colored by group (….skeleton.png).
"""

import argparse
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command, pair
from hsjp_mm.utils.configs import config_file
from hsjp_mm.utils.files import existing_file, writable_file

HEAD = ('upper_neck', 'head_top')
EXTENT = 5.75


def poses_file(path: str, argument: str) -> Path:
    """Expect a config or another file, as :func:`hsjp_mm.analysis.persons.read_poses` does."""
    check = config_file if path.endswith('.py') else existing_file
    return check(path, argument)


def arguments() -> Parser:
    parser = Parser(__doc__, {'path=': 'POSES=', 'num_groups=': '--groups=', 'side=': '--lattice='})
    parser.add_input(
        'poses', poses_file,
        help='.py: the training data of a config; .json: annotations; .csv or .mat: joints',
    )  # fmt: skip
    parser.add_argument(
        '--dataset', default='MpiiDataset',
        help='data set that reads the JSON, or whose keypoints are in the CSV (%(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--metainfo', help="file of the keypoint set, as in data sets, in place of the data set's"
    )
    parser.add_argument('--groups', type=int, default=5, help='how many (%(default)s)')
    parser.add_argument(
        '--unit', nargs='+', default=HEAD,
        help='of length: two keypoints, or box for the longer side of the person\'s box '
        f'({" ".join(HEAD)})',
    )  # fmt: skip
    parser.add_argument(
        '--extent', type=float, default=EXTENT, help='of the lattice, in that unit (%(default)s)'
    )
    parser.add_argument('--lattice', type=int, default=16, help='cells a side (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the clusters (%(default)s)')
    parser.add_argument(
        '--also', nargs='+', action='extend', default=[], type=pair, metavar='KEYPOINT=OTHER',
        help='put KEYPOINT in the group of OTHER too',
    )  # fmt: skip
    parser.add_out('JSON to write', 'part_groups.json', writable_file)
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    from mmengine.registry import init_default_scope

    from hsjp_mm.analysis.part_groups import group_parts, overlap, write_part_groups
    from hsjp_mm.analysis.persons import read_poses
    from hsjp_mm.datasets.image_files import write_picture
    from hsjp_mm.visualization import affinity_picture, groups_picture

    init_default_scope('mmpose')
    poses = read_poses(args.poses, args.dataset, args.metainfo)
    unit = 'box' if args.unit == ['box'] else tuple(args.unit)
    found = group_parts(poses, args.groups, unit, args.extent, args.lattice, args.seed)
    also = [(name, other) for name, _, other in (text.partition('=') for text in args.also)]
    part_groups = overlap(found.part_groups, also)
    source = dict(
        made_by='hsjp-mm groups', poses=Path(args.poses).name, num_poses=found.num_poses,
        fewest_poses_of_a_pair=found.fewest_poses, groups=args.groups, unit=unit,
        extent=args.extent, lattice=args.lattice, seed=args.seed,
    )  # fmt: skip
    if also:
        source['also'] = args.also
    out = Path(args.out)
    write_part_groups(out, part_groups, source)
    pictures = {
        'matrix': affinity_picture(found.affinity, poses.names),
        'skeleton': groups_picture(part_groups, found.mean_pose, poses.links),
    }
    for kind, picture in pictures.items():
        write_picture(out.with_suffix(f'.{kind}.png'), picture[..., ::-1])
    print(
        f'{found.num_poses} of {len(poses.keypoints)} poses have the unit of length; any two '
        f'keypoints have {found.fewest_poses} or more in common; {found.outside:.1%} of the '
        'keypoints lie beyond the lattice and count in its border cells'
    )
    for group in part_groups.groups:
        print('-', ', '.join(group))
    print(out, *(out.with_suffix(f'.{kind}.png') for kind in pictures))


if __name__ == '__main__':
    sys.exit(main())
