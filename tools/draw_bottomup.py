"""Draw poses, tags and heat maps of a bottom-up model: one PNG for each image.

hsjp-mm draw CONFIG CHECKPOINT photo.jpg folder --out DIR
"""

import argparse
import sys

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file
from hsjp_mm.utils.files import checkpoint_file, existing_path, writable_folder


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input('config', config_file, help='a config whose head is hsjp_mm.HigherHRNetHead')
    parser.add_input('checkpoint', checkpoint_file, help='its weights')
    parser.add_input(
        'images',
        existing_path,
        nargs='+',
        help='files, or folders with their subfolders',
    )
    parser.add_out('folder of the pictures', 'boards', writable_folder)
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, … (%(default)s)')
    parser.add_cfg_options()
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    from mmengine.dataset import Compose, pseudo_collate
    from mmengine.registry import MODELS, init_default_scope
    from mmpose.apis.inference import dataset_meta_from_config

    from hsjp_mm.checkpoint import load_model
    from hsjp_mm.datasets.image_files import named_images, write_picture
    from hsjp_mm.models import HigherHRNetHead
    from hsjp_mm.utils.configs import read_config, required
    from hsjp_mm.utils.devices import require_device
    from hsjp_mm.utils.progress import track
    from hsjp_mm.visualization import draw_bottomup
    from hsjp_mm.visualization.picture_files import picture_paths

    folder, names = named_images(args.images)
    paths = picture_paths(folder, names, args.out)
    require_device(args.device)
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    model = MODELS.build(required(cfg, 'model'))
    if not isinstance(getattr(model, 'head', None), HigherHRNetHead):
        raise ValueError(
            f'config={args.config!r} must have a hsjp_mm.HigherHRNetHead as model.head'
        )
    pipeline = Compose(required(cfg, 'test_dataloader.dataset.pipeline'))
    load_model(model, args.checkpoint)
    model.to(args.device).eval()
    meta = dataset_meta_from_config(cfg, 'test')
    for name, path in track(list(zip(names, paths, strict=True)), 'images'):
        batch = pseudo_collate([pipeline({'img_path': str(folder / name), **meta})])
        (board,) = draw_bottomup(model, batch, meta['skeleton_links'])
        write_picture(path, board[..., ::-1])
        print(path)


if __name__ == '__main__':
    sys.exit(main())
