"""Find persons (or other categories) in a folder of images with an MMDetection model.

Writes OUT, the boxes as {image_id, category_id, bbox, score}, and beside it OUT with _images before
the suffix, which names the images; PersonCropDataset takes them as bbox_file and ann_file.
"""

import argparse
import json
from pathlib import Path

from mmengine.config import DictAction

from hsjp_mm.datasets.detections import detect


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', help='images, also in subfolders')
    parser.add_argument('config', help='MMDetection config')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('out', help='JSON file to write')
    parser.add_argument('--categories', nargs='+', default=['person'], help='names to keep')
    parser.add_argument('--score-thr', type=float, default=0.05, help='lowest score to keep')
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, …')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='as in MMDetection')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    images, boxes = detect(
        args.folder,
        args.config,
        args.checkpoint,
        args.categories,
        args.score_thr,
        args.device,
        args.cfg_options,
    )
    out = Path(args.out)
    names = out.with_name(f'{out.stem}_images{out.suffix}')
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(boxes))
    names.write_text(json.dumps(images))
    print(f'\n{len(boxes)} boxes in {len(images["images"])} images: {out}, {names}')
    print(
        f"dataset=dict(type='hsjp_mm.PersonCropDataset', ann_file='{names}', bbox_file='{out}',\n"
        f"             data_prefix=dict(img='{args.folder}'), category_names={args.categories})"
    )


if __name__ == '__main__':
    main()
