"""Write the crops of a config's data set once, as pretraining reads them, into LMDB files.

What a crop can show, with all the augmentation of the pipeline, is cut out of each image and
encoded anew. PersonCropDataset(store=OUT) reads that in place of the images, in a part of the time.
Given once more, the command goes on where it stopped, and does nothing where all is there.

Examples:
    hsjp-mm store mine.py --out data/mine/store
    hsjp-mm store mine.py --out data/mine/store --check
"""

import argparse
import os
import sys

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file

NAMED = 10
"""So many unreadable images are named."""


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input('config', config_file, help='of a pretraining on person crops')
    parser.add_out('folder of the store')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train',
                        help='whose data set (%(default)s)')  # fmt: skip
    parser.add_argument('--format', choices=('jpg', 'webp'), default='jpg', help='(%(default)s)')
    parser.add_argument('--quality', type=int, default=95, help='1 to 100 (%(default)s)')
    parser.add_argument(
        '--shrink', action='store_true',
        help='store no more pixels than the largest crop shows, which are means of the image',
    )  # fmt: skip
    parser.add_argument(
        '--margin',
        type=float,
        help="square to store, in longer sides of the box; by default the pipeline's reach",
    )
    parser.add_argument('--shard-size', type=int, default=4096, help='crops (%(default)s)')
    parser.add_argument('--workers', type=int, default=1, help='processes (%(default)s)')
    parser.add_argument(
        '--check', action='store_true', help='write nothing; compare OUT with its hashes and CONFIG'
    )
    parser.add_cfg_options()
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> int | None:
    from mmengine.registry import DATASETS, MODELS, init_default_scope

    from hsjp_mm.datasets import PersonCropDataset
    from hsjp_mm.datasets.person_crops import WITHOUT_CROP
    from hsjp_mm.datasets.store import Options, check_store, write_store
    from hsjp_mm.datasets.store.files import unreadable
    from hsjp_mm.datasets.transforms.pipelines import find_datasets
    from hsjp_mm.models import PretextModel
    from hsjp_mm.utils.configs import read_config, required

    if args.check:
        require_no_writing(args)
        wrong = check_store(args.out)
        for sentence in wrong:
            print(sentence)
        if wrong:
            return 1
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    store = os.path.abspath(args.out) if args.check else ''
    dataset = DATASETS.build(with_store(required(cfg, f'{args.split}_dataloader.dataset'), store))
    model = MODELS.build(required(cfg, 'model'))
    if isinstance(model, PretextModel):
        model.prepare(dataset)
    inner = [one for one in find_datasets(dataset) if isinstance(one, PersonCropDataset)]
    if len(inner) != 1:
        raise ValueError(
            f'config={args.config!r}: {args.split}_dataloader.dataset has {len(inner)} of '
            'hsjp_mm.PersonCropDataset, and must have one'
        )
    (crops,) = inner
    if args.check:
        crops.full_init()
        crops.require_reach()
        lost = crops.left_out.get(WITHOUT_CROP, 0)
        print(
            f'{args.out}: all hashes are right, and {len(crops)} of {len(crops) + lost} instances '
            'are in it' + (f'; the images of {lost} could not be read' if lost else '')
        )
        return None
    options = Options(args.format, args.quality, args.shrink, args.margin, args.shard_size)
    made = write_store(crops, args.out, options, args.workers, tell)
    size = made['bytes'] / 1e6
    print(f'{args.out}: {made["crops"]} crops, {size:.1f} MB, {len(made["shards"])} shards')
    if made['unreadable']:
        print(f'warning: the images of {made["unreadable"]} instances cannot be read:')
        for name, reason in unreadable(args.out)[:NAMED]:
            print(f'  {name}: {reason}')
    print(f"now train with {args.split}_dataloader.dataset.store='{place(args.out, crops)}'")
    return None


def require_no_writing(args: argparse.Namespace) -> None:
    """Refuse what says how a store is written, where none is."""
    parser = arguments()
    for flag in ('--format', '--quality', '--shrink', '--margin', '--shard-size', '--workers'):
        name = flag[2:].replace('-', '_')
        if getattr(args, name) != parser.get_default(name):
            raise ValueError(
                f'{flag}={getattr(args, name)} is for writing a store, and --check writes none'
            )


def with_store(config, store: str):
    """A config that reads another store, or none, whatever it says."""
    if isinstance(config, list):
        return [with_store(item, store) for item in config]
    if not isinstance(config, dict):
        return config
    changed = {key: with_store(item, store) for key, item in config.items() if key != 'store'}
    return {**changed, 'store': store} if 'pipeline' in config and reads_crops(config) else changed


def reads_crops(config: dict) -> bool:
    """Whether a config with a pipeline is that of a PersonCropDataset."""
    from mmengine.registry import DATASETS

    from hsjp_mm.datasets import PersonCropDataset

    kind = config.get('type')
    found = DATASETS.get(kind) if isinstance(kind, str) else kind
    return isinstance(found, type) and issubclass(found, PersonCropDataset)


def tell(number: int, shards: int, shard: dict) -> None:
    """Print that a shard is there."""
    size = shard['bytes'] / 1e6
    print(f'shard {number + 1} of {shards}: {shard["crops"]} crops, {size:.1f} MB', flush=True)


def place(out: str, dataset) -> str:
    """How the data set has to name the store, for it looks below its data_root."""
    root = os.path.abspath(dataset.data_root or '.')
    path = os.path.abspath(out)
    inside = os.path.commonpath([root, path]) == root
    return os.path.relpath(path, root) if inside else path


if __name__ == '__main__':
    sys.exit(main())
