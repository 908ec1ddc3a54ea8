"""Say whether a checkpoint fits the backbone of a config, without training.

    hsjp-mm check-init configs/topdown_heatmap/coco/x.py backbone-1a2b3c4d.safetensors

prints what ``hsjp_mm.PretextInit`` would print; exit status 0 if it would load, 1 if it would
stop.
"""

import argparse
import sys
from typing import Any

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file
from hsjp_mm.utils.files import checkpoint_file


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input('config', config_file, help='any config with model.backbone')
    parser.add_input('checkpoint', checkpoint_file, help='a file or address with the backbone')
    parser.add_argument('--prefix', help="of the backbone (the config's, or found)")
    parser.add_argument('--allow-missing', nargs='+', help="patterns of names (the config's)")
    parser.add_argument(
        '--trust', action='store_true', help='unpickle any object: can run any code of the file'
    )
    parser.add_cfg_options()
    return parser


def pretext_init(init_cfg: Any) -> dict:
    """The config's own PretextInit, for its prefix and allow_missing; {} if it has none."""
    cfgs = init_cfg if isinstance(init_cfg, list) else [init_cfg or {}]
    return next((cfg for cfg in cfgs if 'PretextInit' in str(cfg.get('type'))), {})


@command(arguments)
def main(args: argparse.Namespace) -> int:
    from mmengine.registry import MODELS, init_default_scope

    from hsjp_mm.checkpoint import audit
    from hsjp_mm.utils.configs import read_config, required

    config = read_config(args.config, args.cfg_options)
    required(config, 'model.backbone')
    init_default_scope(config.get('default_scope', 'mmpose'))
    init = pretext_init(config.model.backbone.pop('init_cfg', None))
    backbone = MODELS.build(config.model.backbone)
    prefix = init.get('prefix') if args.prefix is None else args.prefix
    allow_missing = args.allow_missing or init.get('allow_missing', ())
    coverage, _ = audit(backbone, args.checkpoint, prefix, allow_missing, args.trust)
    print(coverage.line())
    if coverage.report():
        print(coverage.report())
    print('fits' if coverage.ok else 'does not fit')
    return 0 if coverage.ok else 1


if __name__ == '__main__':
    sys.exit(main())
