"""Write a body of SMPL's layout as a plain .npz, which numpy alone reads.

    hsjp-mm convert body SMPL_NEUTRAL.pkl
    hsjp-mm convert body data/smpl --gender female --out female.npz

The official .pkl holds arrays of the package chumpy. It is read without that package, and a file
that holds anything but arrays is refused. SMPL's licence goes for the .npz too.
"""

import argparse
import sys

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import existing_path, writable_file

GENDERS = ('neutral', 'male', 'female')


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input('file', existing_path, help=".pkl, or the folder of SMPL's files")
    parser.add_argument('--gender', choices=GENDERS, default='neutral', help='which of a folder')
    parser.add_out('name.npz; by default beside the file', check=writable_file, needed=False)
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    from hsjp_mm.models.body_models.smpl_files import convert_body, read_arrays

    path = convert_body(args.file, args.gender, args.out)
    print(f'{path} ({path.stat().st_size:,} bytes)')
    for key, array in read_arrays(path).items():
        print(f'  {key:16} {array.shape} {array.dtype}')


if __name__ == '__main__':
    sys.exit(main())
