"""Write Leeds Sports Pose, or its extended set, as a COCO-format JSON.

    hsjp-mm convert lsp data/lsp/joints.mat --images data/lsp/images --out data/lsp/lsp.json
    hsjp-mm convert lsp data/lspet/joints.mat --images data/lspet/images --first 1 --last 6000
        --out data/lspet/train.json

hsjp_mm.PersonCropDataset reads the boxes of the JSON, and the stock CocoDataset the keypoints,
which configs/_base_/datasets/lsp.py describes. Its paths are relative to the folder of the images.
The joints.mat itself tells whether it is of the extended set.
"""

import argparse
import sys

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import existing_file, existing_folder, writable_file, write_json


def arguments() -> Parser:
    parser = Parser(__doc__, {'ann_file=': '', 'first=': '--first ', 'last=': '--last '})
    parser.add_input('joints', existing_file, help='joints.mat')
    parser.add_input('--images', existing_folder, required=True, help='folder of the images')
    parser.add_argument('--first', type=int, default=1, help='number of the first image (1)')
    parser.add_argument('--last', type=int, help='number of the last image (of the last person)')
    parser.add_out('name.json', check=writable_file)
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    from hsjp_mm.datasets.lsp import to_coco

    content = to_coco(args.joints, args.images, args.first, args.last)
    write_json(args.out, content)
    print(f'{args.out}: {len(content["annotations"])} persons')


if __name__ == '__main__':
    sys.exit(main())
