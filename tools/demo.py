"""The main job in small: pretrain without labels, fine-tune from scratch and from that, report.

The same as `hsjp-mm compare` with the configs of configs/demo, on people that are rendered
first. Run again it goes on where it was stopped.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import PACKAGE, existing_folder, make_whole

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIGS = PACKAGE / 'configs/demo'
PRETEXTS = {
    path.name.partition('_')[0]: path
    for path in sorted(
        CONFIGS.glob('*_hrnet-tiny_1xb32-*_toy-96x96.py')
    )  # what the fine-tuning has
    if not path.name.startswith('td-hm_')
}
"""The pretraining configs by their algorithm."""
FINE_TUNING = CONFIGS / 'td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py'


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_argument('--pretext', choices=[*PRETEXTS], default='hsjp', help='what pretrains')
    parser.add_input(
        '--data',
        existing_folder,
        help='a folder with annotations/person_keypoints_{train,val}2017.json and images in '
        'train2017/ and val2017/; by default persons are rendered',
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='of fine-tuning (0)')
    parser.add_argument('--out', default='demo', help='folder of runs and report (%(default)s)')
    parser.add_argument(
        '--rerun', action='store_true', help='put runs of another recipe aside and run anew'
    )
    parser.add_cfg_options(what='every config')
    return parser


def data_of(folder: str | None, out: Path) -> tuple[Path, str]:
    """The folder of the data in COCO's layout, rendered if none is given, and its names' suffix."""
    if folder:
        return Path(folder).resolve(), '2017'
    root = out / 'toy'
    if not root.is_dir():
        print(f'rendering people into {root}')
        from hsjp_mm.datasets.toy import render
        from hsjp_mm.utils.progress import track

        shown = partial(track, what='images')
        make_whole(root, partial(render, num_train=400, num_val=100, progress=shown))
    return root, ''


def pointed(path: Path, root: Path, suffix: str, options: Iterable[str]) -> 'Config':
    """A demo config, pointed to a data set in COCO's layout."""
    from hsjp_mm.utils.configs import parse_options, read_config

    config = read_config(str(path))
    for split in ('train', 'val'):
        ann_file = f'annotations/person_keypoints_{split}{suffix}.json'
        config[f'{split}_dataloader'].dataset.update(
            data_root=str(root), ann_file=ann_file, data_prefix=dict(img=f'{split}{suffix}/')
        )
        if split == 'val' and 'ann_file' in config.val_evaluator:
            config.val_evaluator.ann_file = str(root / ann_file)
    config.merge_from_dict(parse_options(options))
    return config


@command(arguments)
def main(args: argparse.Namespace) -> int:
    from hsjp_mm.comparison.execution import Comparison
    from hsjp_mm.comparison.report import report_on

    start = time.time()
    out = Path(args.out).resolve()
    try:
        data = data_of(args.data, out)
        outcome = Comparison(
            pointed(FINE_TUNING, *data, args.cfg_options),
            {'scratch': None},
            {args.pretext: pointed(PRETEXTS[args.pretext], *data, args.cfg_options)},
            fractions=[1.0],
            seeds=args.seeds,
            work_dir=out,
        ).run(rerun=args.rerun, tell=lambda text: print(text, flush=True))
    except KeyboardInterrupt:
        print('stopped; the same command goes on from here', file=sys.stderr)
        return 130
    lines, failures = report_on(
        out / 'report.html',
        f'{args.pretext}: pretraining and fine-tuning',
        outcome.folders,
        pretrainings=outcome.pretrainings,
        failures=outcome.failures,
    )
    print()
    for failure in failures:
        print(f'NOT IN THE REPORT: {failure.title}: {failure.reason}')
    print('\n'.join(lines))
    print(f'{time.time() - start:.0f} s in all')
    return 1 if failures else 0


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
