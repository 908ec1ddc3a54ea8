"""Convert HigherHRNet or plain AE weights of the authors or of MMPose 0.x to this package's names.

    hsjp-mm convert pose_higher_hrnet_w32_512.pth --out higherhrnet-w32.pth
    hsjp-mm test configs/higherhrnet/coco/... higherhrnet-w32.pth

The file must be a whole model: what is missing, left over or of another shape is named, and
nothing is written.
"""

import argparse
import sys

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import checkpoint_file, writable_file


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input(
        'checkpoint', checkpoint_file, help="the authors' or MMPose 0.x's file, or its address"
    )
    parser.add_out('name.pth', check=writable_file)
    parser.add_argument(
        '--trust', action='store_true', help='unpickle any object: can run any code of the file'
    )
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> int:
    from hsjp_mm.checkpoint.conversion import convert_checkpoint, describe

    path, config = convert_checkpoint(args.checkpoint, args.out, args.trust)
    print(f'{path} ({path.stat().st_size:,} bytes): {describe(config)}')
    print(f'  head={config["head"]}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
