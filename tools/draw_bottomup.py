"""Draw poses, tags and heat maps of a bottom-up model: one PNG for each image.

python tools/draw_bottomup.py CONFIG CHECKPOINT photo.jpg another.jpg --out DIR
"""

import argparse
from pathlib import Path

import cv2
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import MODELS, init_default_scope
from mmpose.apis.inference import dataset_meta_from_config

import hsjp_mm  # noqa: F401  (lets hsjp_mm:: bases resolve)
from hsjp_mm.checkpoint import read_checkpoint
from hsjp_mm.visualization import draw_bottomup


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config whose head is hsjp_mm.HigherHRNetHead')
    parser.add_argument('checkpoint')
    parser.add_argument('images', nargs='+', help='files, each with a name of its own')
    parser.add_argument('--out', default='boards', help='folder of the pictures (%(default)s)')
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, … (%(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args(argv)
    names = [Path(image).stem for image in args.images]
    if len(set(names)) < len(names):
        parser.error('two images have the same name, so their pictures would too')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    model = MODELS.build(cfg.model)
    model.load_state_dict(read_checkpoint(args.checkpoint)['state_dict'])
    model.to(args.device).eval()
    meta = dataset_meta_from_config(cfg, 'test')
    pipeline = Compose(cfg.test_dataloader.dataset.pipeline)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for image in args.images:
        batch = pseudo_collate([pipeline({'img_path': image, **meta})])
        (board,) = draw_bottomup(model, batch, meta['skeleton_links'])
        path = out / f'{Path(image).stem}.png'
        cv2.imwrite(str(path), board[..., ::-1])
        print(path)


if __name__ == '__main__':
    main()
