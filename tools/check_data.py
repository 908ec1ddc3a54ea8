"""Read annotations and images once, and say what each part of the package would do with them.

What is used, what is left out and why, what would fail at validation; and a contact sheet of the
images with their boxes and keypoints. Of labels of meshes, what is labelled, and what cannot be
right. The exit status is 1 if there is a problem.

Examples:
    hsjp-mm check-data annotations/persons.json images --out check
    hsjp-mm check-data mesh/train.npz images
"""

import argparse
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import existing_file, existing_folder, writable_folder


def arguments() -> Parser:
    parser = Parser(__doc__, {'ann_file=': 'ANNOTATIONS=', 'folder=': 'IMAGES='})
    parser.add_input(
        'annotations',
        existing_file,
        help='COCO-style JSON, with keypoints or without, or .npz of meshes',
    )
    parser.add_input('images', existing_folder, help='folder of the images')
    parser.add_out('folder of the contact sheet', 'data_check', writable_folder)
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> int:
    from mmengine.registry import init_default_scope

    from hsjp_mm.analysis.data_check import check_data
    from hsjp_mm.analysis.mesh_check import check_mesh
    from hsjp_mm.datasets.image_files import write_picture
    from hsjp_mm.visualization.data_check import contact_sheet

    init_default_scope('mmpose')
    check = check_mesh if Path(args.annotations).suffix == '.npz' else check_data
    found = check(args.annotations, args.images)
    for title, lines in found.sections.items():
        print(f'{title}\n' + ''.join(f'  {line}\n' for line in lines))
    if found.paths:
        sheet = Path(args.out) / 'contact_sheet.png'
        write_picture(sheet, contact_sheet(found)[..., ::-1])
        print(sheet)
    number = len(found.problems)
    print('1 problem' if number == 1 else f'{number} problems')
    return 1 if found.problems else 0


if __name__ == '__main__':
    sys.exit(main())
