"""Find persons (or other categories) in images with an MMDetection model.

    hsjp-mm detect CONFIG CHECKPOINT IMAGES --out boxes.json

IMAGES are files and folders, with their subfolders. Writes OUT, the boxes as {image_id,
category_id, bbox, score}, and beside it OUT with _images before the suffix, which names the images;
PersonCropDataset takes them as bbox_file and ann_file.
"""

import argparse
import json
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file, read_config
from hsjp_mm.utils.files import checkpoint_file, existing_path, writable_file


def arguments() -> Parser:
    parser = Parser(__doc__, {'category_names': '--categories', 'folder=': 'IMAGES='})
    parser.add_argument('config', help='of MMDetection')
    parser.add_argument('checkpoint', help='its weights, a file or address')
    parser.add_argument('images', nargs='+', help='files, or folders with their subfolders')
    parser.add_argument('--out', help='JSON file to write; needed')
    parser.add_argument(
        '--categories', nargs='+', default=['person'], help='names to keep (person)'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.05, help='lowest score to keep (%(default)s)'
    )
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, … (%(default)s)')
    parser.add_cfg_options()
    return parser


def in_order(args: argparse.Namespace) -> None:
    """Bring FOLDER CONFIG CHECKPOINT OUT, the order of version 0.1, into today's."""
    if args.out is None and Path(args.config).is_dir() and len(args.images) == 2:
        folder, config, (checkpoint, out) = args.config, args.checkpoint, args.images
        print(
            f'write CONFIG CHECKPOINT IMAGES --out OUT: {config} {checkpoint} {folder} --out '
            f'{out}; the old order is taken until version 1.0',
            file=sys.stderr,
        )
        args.config, args.checkpoint, args.images, args.out = config, checkpoint, [folder], out
    if args.out is None:
        raise ValueError('--out is needed')


@command(arguments)
def main(args: argparse.Namespace) -> None:
    in_order(args)

    # before the imports, which take seconds
    config_file(args.config)
    checkpoint_file(args.checkpoint)
    for path in args.images:
        existing_path(path, 'images')
    writable_file(args.out, 'out')

    from hsjp_mm.datasets.detected_boxes import images_file
    from hsjp_mm.datasets.detections import detect
    from hsjp_mm.datasets.image_files import named_images
    from hsjp_mm.utils.devices import require_device

    require_device(args.device)
    folder, _ = named_images(args.images)
    images, boxes = detect(
        args.images,
        read_config(args.config, args.cfg_options),
        args.checkpoint,
        args.categories,
        args.score_thr,
        args.device,
    )
    out = Path(args.out)
    names = images_file(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(boxes))
    names.write_text(json.dumps(images))
    print(f'{len(boxes)} boxes in {len(images["images"])} images: {out}, {names}')
    print(
        f"dataset=dict(type='hsjp_mm.PersonCropDataset', ann_file='{names}', bbox_file='{out}',\n"
        f"             data_prefix=dict(img='{folder}'), category_names={args.categories})"
    )


if __name__ == '__main__':
    sys.exit(main())
