"""Show what the resolution of the heat maps costs: the scores of a network without errors.

    python tools/oracle_ae.py configs/higherhrnet/coco/….py

The network predicts its training targets and perfect tags for the images of test_dataloader;
enlarging, averaging, grouping and test_evaluator are real. One row for each number of resolutions.
"""

import argparse
import contextlib
import io

from mmengine.config import Config, DictAction
from mmengine.registry import DATASETS, init_default_scope

import hsjp_mm  # noqa: F401  (lets hsjp_mm:: bases resolve)
from hsjp_mm.analysis import oracle_scores


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config whose head is hsjp_mm.HigherHRNetHead')
    parser.add_argument(
        '--resolutions', type=int, default=2, help='at most; 2: 1/4 and 1/2 (%(default)s)'
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    for number in range(1, args.resolutions + 1):
        with contextlib.redirect_stdout(io.StringIO()):  # the COCO tools talk
            dataset = DATASETS.build(cfg.test_dataloader.dataset)
            scores = oracle_scores(dataset, cfg.test_evaluator, cfg.model.head.decoder, number)
        if number == 1:
            print(f'{len(dataset)} images\nheat maps at   ', *(f'{name:>13}' for name in scores))
        fractions = ', '.join(f'1/{4 // 2**level}' for level in range(number))
        print(f'{fractions:15}', *(f'{value:13.3f}' for value in scores.values()))


if __name__ == '__main__':
    main()
