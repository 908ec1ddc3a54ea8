"""Convert HigherHRNet or plain AE weights of the authors or of MMPose 0.x to this package's names.

    python tools/convert_checkpoint.py pose_higher_hrnet_w32_512.pth higherhrnet-w32.pth
    python tools/test.py configs/higherhrnet/coco/... higherhrnet-w32.pth

The file must be a whole model: what is missing, left over or of another shape is named, and
nothing is written.
"""

import argparse
import sys

from hsjp_mm.checkpoint.conversion import convert_checkpoint, describe
from hsjp_mm.checkpoint.coverage import CheckpointError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', help="the authors' or MMPose 0.x's file, or its address")
    parser.add_argument('out', help='name.pth')
    parser.add_argument(
        '--trust', action='store_true', help='unpickle any object: can run any code of the file'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        path, config = convert_checkpoint(args.checkpoint, args.out, args.trust)
    except (CheckpointError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f'{path} ({path.stat().st_size:,} bytes): {describe(config)}')
    print(f'  head={config["head"]}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
