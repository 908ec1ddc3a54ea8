"""Group keypoints that tell most of each other's place, for the part-based branching network.

python tools/part_groups.py poses.csv --groups 5 --out groups.json
python tools/part_groups.py annotations.json --dataset CocoDataset --unit box --extent 1.25

Beside the JSON lie two pictures: of the mutual information (….matrix.png) and of the skeleton
colored by group (….skeleton.png).
"""

import argparse
from pathlib import Path

import cv2
from mmengine.config import DictAction
from mmengine.registry import init_default_scope

import hsjp_mm  # noqa: F401  (lets hsjp_mm:: bases resolve)
from hsjp_mm.analysis.part_groups import (
    EXTENT,
    HEAD,
    group_parts,
    overlap,
    write_part_groups,
)
from hsjp_mm.analysis.persons import read_poses
from hsjp_mm.visualization import affinity_picture, groups_picture


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'poses', help='.py: the training data of a config; .json: annotations; .csv or .mat: joints'
    )
    parser.add_argument(
        '--dataset', default='MpiiDataset',
        help='data set that reads the JSON, or whose keypoints are in the CSV (%(default)s)',
    )  # fmt: skip
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
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--also', nargs='+', action=DictAction, default={}, metavar='KEYPOINT=OTHER',
        help='put KEYPOINT in the group of OTHER too',
    )  # fmt: skip
    parser.add_argument('--out', default='part_groups.json', help='(%(default)s)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmpose')
    poses = read_poses(args.poses, args.dataset)
    unit = 'box' if args.unit == ['box'] else tuple(args.unit)
    found = group_parts(poses, args.groups, unit, args.extent, args.lattice, args.seed)
    part_groups = overlap(found.part_groups, args.also)
    source = dict(
        made_by='tools/part_groups.py', poses=Path(args.poses).name, num_poses=found.num_poses,
        fewest_poses_of_a_pair=found.fewest_poses, groups=args.groups, unit=unit,
        extent=args.extent, lattice=args.lattice, seed=args.seed,
    )  # fmt: skip
    if args.also:
        source['also'] = args.also
    out = Path(args.out)
    write_part_groups(out, part_groups, source)
    pictures = {
        'matrix': affinity_picture(found.affinity, poses.names),
        'skeleton': groups_picture(part_groups, found.mean_pose, poses.links),
    }
    for kind, picture in pictures.items():
        cv2.imwrite(str(out.with_suffix(f'.{kind}.png')), picture[..., ::-1])
    print(
        f'{found.num_poses} of {len(poses.keypoints)} poses have the unit of length; any two '
        f'keypoints have {found.fewest_poses} or more in common; {found.outside:.1%} of the '
        'keypoints lie beyond the lattice and count in its border cells'
    )
    for group in part_groups.groups:
        print('-', ', '.join(group))
    print(out, *(out.with_suffix(f'.{kind}.png') for kind in pictures))


if __name__ == '__main__':
    main()
