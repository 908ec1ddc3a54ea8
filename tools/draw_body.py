"""Write a body of a file of meshes for other programs, or for the browser.

    hsjp-mm draw-body data/toy/mesh/train.npz --out body.html
    hsjp-mm draw-body data/3dpw/mesh/test.npz --id 12 --body data/smpl --out body.obj

The ending says what: .obj and .ply are meshes in meters, y up; .gif is a picture in which the body
turns; .html is a page in which the mouse turns it, and which needs no network.
"""

import argparse
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import existing_file, writable_file


def arguments() -> Parser:
    parser = Parser(__doc__, {'number=': '--id=', 'give file': 'give --body', 'ann_file=': 'file='})
    parser.add_input('file', existing_file, help='.npz of meshes')
    parser.add_argument('--id', type=int, help='of the sample; by default the first with a pose')
    parser.add_argument('--body', help="the body's file or folder; by default the free body")
    parser.add_out('file', 'body.html', writable_file)
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    from hsjp_mm.analysis.posed_bodies import posed_body
    from hsjp_mm.datasets.mesh_files import read_mesh_file
    from hsjp_mm.visualization.mesh_files import WRITERS

    out = Path(args.out)
    if out.suffix not in WRITERS:
        raise ValueError(f'out={str(out)!r} must end in one of {", ".join(WRITERS)}')
    vertices, faces = posed_body(read_mesh_file(args.file), args.id, args.body)
    out.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[out.suffix](out, vertices, faces)
    print(f'{out} ({out.stat().st_size:,} bytes)')


if __name__ == '__main__':
    sys.exit(main())
