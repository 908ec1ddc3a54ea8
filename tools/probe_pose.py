"""Measure what frozen backbones are worth for pose, to choose an epoch of pretraining by.

    hsjp-mm probe-pose CONFIG CHECKPOINT [CHECKPOINT ...]

CONFIG is the stock top-down config to fine-tune with, for its backbone, labels and measure; the
checkpoints may be of any pretraining of that backbone. Of each: the measure (AP or PCK) and the
mean OKS of a 1×1 keypoint head trained on the frozen backbone, and the mean OKS of keypoints copied
from the nearest labelled crops; with those of random weights beside them.
"""

import argparse
import json
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file
from hsjp_mm.utils.files import checkpoint_file, writable_file

PERSONS, ITERATIONS = 500, 300


def arguments() -> Parser:
    parser = Parser(__doc__)
    parser.add_input('config', config_file, help='a top-down config with labels')
    parser.add_input(
        'checkpoints', checkpoint_file, nargs='+', help='files or addresses with the backbone'
    )
    parser.add_argument(
        '--persons',
        type=int,
        default=PERSONS,
        help='how many to train on, and how many to find, at least (%(default)s)',
    )
    parser.add_argument(
        '--iterations', type=int, default=ITERATIONS, help='of the head (%(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, … (%(default)s)')
    parser.add_out('JSON to write', 'probe_pose.json', writable_file)
    parser.add_cfg_options()
    return parser


def line(found: dict, floor: dict) -> str:
    figures = [
        f'{name} {value:.3f} (random weights {floor["figures"][name]:.3f})'
        for name, value in found['figures'].items()
    ]
    return f'{found["checkpoint"]}: {", ".join(figures)}; {found["seconds"]} s'


@command(arguments)
def main(args: argparse.Namespace) -> int:
    from hsjp_mm.probing.pose import PoseProbe
    from hsjp_mm.utils.configs import read_config

    config = read_config(args.config, args.cfg_options)
    probe = PoseProbe(config, args.persons, args.iterations, args.seed, args.device)
    train, val = len(probe.train.images), len(probe.val.images)
    print(f'{train} labelled persons, {val} to find; {args.iterations} iterations', flush=True)
    measured = []
    for checkpoint in args.checkpoints:
        measured.append({'checkpoint': checkpoint, **probe.measure(checkpoint)})
        print(line(measured[-1], probe.floor), flush=True)
    result = {
        'config': args.config,
        'metric': probe.metric,
        'labelled_persons': train,
        'persons': val,
        'iterations': args.iterations,
        'seed': args.seed,
        'random_weights': probe.floor,
        'checkpoints': measured,
    }
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + '\n')
    print(out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
