"""Take the backbone out of a pretraining checkpoint, in float32, with where it comes from.

    hsjp-mm extract work_dirs/hsjp/epoch_240.pth --out backbones/hrnet-w32.safetensors

writes ``backbones/hrnet-w32-1a2b3c4d.safetensors``. Both formats work with ``hsjp_mm.PretextInit``;
stock ``init_cfg=dict(type='Pretrained', prefix='backbone.', ...)`` reads .pth only.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import checkpoint_file, writable_file

VALIDATION = {
    'validation': 'of these weights',
    'earlier_validation': 'of an earlier epoch; these weights were not validated',
}


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input('checkpoint', checkpoint_file, help='what MMEngine wrote while pretraining')
    parser.add_out('name.safetensors or name.pth; a hash joins the name', check=writable_file)
    parser.add_argument('--prefix', default='backbone.', help='of the backbone (%(default)s)')
    parser.add_argument(
        '--trust', action='store_true', help='unpickle any object: can run any code of the file'
    )
    return parser


def recorded(meta: dict[str, Any]) -> Iterator[str]:
    """The lines that say what a checkpoint tells of its run."""
    for key, value in meta.items():
        if key in VALIDATION:
            yield f'validation ({VALIDATION[key]}):'
            yield from (f'  {name}: {measure:.6g}' for name, measure in value.items())
        elif key == 'config':
            yield f'config: {len(value.splitlines())} lines'
        else:
            yield f'{key}: {value}'
    for name, keys in {'epoch': ['epoch'], 'config': ['config'], 'validation': VALIDATION}.items():
        if not any(key in meta for key in keys):
            yield f'{name}: not recorded in the checkpoint'


@command(arguments)
def main(args: argparse.Namespace) -> int:
    from hsjp_mm.checkpoint import export_backbone

    path, meta = export_backbone(args.checkpoint, args.out, args.prefix, args.trust)
    print(f'{path} ({path.stat().st_size:,} bytes)')
    for line in recorded(meta):
        print(f'  {line}')
    if meta.get('unshuffled'):
        print('  the two halves of the 6-channel stem are summed into a 3-channel one')
    return 0


if __name__ == '__main__':
    sys.exit(main())
