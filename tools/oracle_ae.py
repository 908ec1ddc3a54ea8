"""Show what the resolution of the heat maps costs: the scores of a network without errors.

    hsjp-mm oracle configs/higherhrnet/coco/….py

The network predicts its training targets and perfect tags for the images of test_dataloader;
enlarging, averaging, grouping and test_evaluator are real. One row for each number of resolutions.
"""

import argparse
import contextlib
import io
import sys

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file

RESOLUTIONS = range(1, 4)
"""How many heat maps there can be: of a quarter, a half and all of the pixels."""


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input('config', config_file, help='a config whose head is hsjp_mm.HigherHRNetHead')
    parser.add_argument(
        '--resolutions', type=int, default=2, help='at most; 3: 1/4, 1/2 and 1/1 (%(default)s)'
    )
    parser.add_argument(
        '--metainfo', help="file of the keypoint set, as in data sets, in place of the data set's"
    )
    parser.add_cfg_options()
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    from mmengine.registry import init_default_scope

    from hsjp_mm.analysis import oracle_scores
    from hsjp_mm.datasets.stock_files import build_dataset
    from hsjp_mm.utils.configs import read_config, required

    if args.resolutions not in RESOLUTIONS:
        raise ValueError(f'resolutions={args.resolutions} must be 1, 2 or 3')
    cfg = read_config(args.config, args.cfg_options)
    data = required(cfg, 'test_dataloader.dataset')
    if args.metainfo:
        data.metainfo = dict(from_file=args.metainfo)
    metric, codec = required(cfg, 'test_evaluator'), required(cfg, 'model.head.decoder')
    if 'AssociativeEmbedding' not in str(codec.get('type')):
        raise ValueError(
            f'config={args.config!r} must have a hsjp_mm.HigherHRNetHead as model.head'
        )
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    for number in range(1, args.resolutions + 1):
        with contextlib.redirect_stdout(io.StringIO()):  # the COCO tools talk
            dataset = build_dataset(data)
            scores = oracle_scores(dataset, metric, codec, number)
        if number == 1:
            print(f'{len(dataset)} images\nheat maps at   ', *(f'{name:>13}' for name in scores))
        fractions = ', '.join(f'1/{4 // 2**level}' for level in range(number))
        print(f'{fractions:15}', *(f'{value:13.3f}' for value in scores.values()))


if __name__ == '__main__':
    sys.exit(main())
