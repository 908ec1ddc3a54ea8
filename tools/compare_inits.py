"""Compare initialisations: the same fine-tuning from each, over seeds and shares of the labels.

Runs what is not there yet, and writes one HTML file:

    hsjp-mm compare CONFIG --init scratch --init imagenet=file.pth \\
        --pretrain hsjp=PRETRAINING_CONFIG --labels 0.1 1 --seeds 0 1 2 --out work_dirs/compare

What --pretrain names is trained first, once; the fine-tunings start from its best checkpoint where
its config keeps one (save_best), else from its last. On photographs in a folder of yours:

        --pretrain-cfg-options train_dataloader.dataset.data_root=FOLDER …

The same command goes on where it was stopped: finished runs are skipped, half-done ones resumed,
and a folder that holds a run of another recipe is refused. Or report on fine-tunings made
elsewhere, by their work folders:

    hsjp-mm compare --collect imagenet=work_dirs/a work_dirs/b --report compare.html

The exit status is 1 if a run failed.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file

if TYPE_CHECKING:
    from hsjp_mm.comparison.execution import Outcome


def arguments() -> Parser:
    flags = {'checkpoint=': '--init=', 'fractions': '--labels', '`rule`': '--rule'}
    parser = Parser(__doc__, flags)
    parser.add_argument('config', nargs='?', help='of the fine-tuning, any of MMPose')
    parser.add_argument(
        '--init',
        action='append',
        default=[],
        metavar='NAME=CHECKPOINT',
        help="where to start from, once for each: a file or address, 'scratch' for random weights",
    )
    parser.add_argument(
        '--pretrain',
        action='append',
        default=[],
        metavar='NAME=CONFIG',
        help='or what to pretrain first, once for each, and then start from',
    )
    parser.add_argument(
        '--longer',
        action='append',
        default=[],
        metavar='NAME=TIMES',
        help='train those from NAME so many times as long, their schedule stretched; beside '
        '--init scratch, --init twice=scratch --longer twice=2 shows both',
    )
    parser.add_argument(
        '--labels', type=float, nargs='+', default=[1.0], help='shares, in (0, 1] (default 1)'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(0 1 2)')
    parser.add_argument('--out', '--work-dir', help='folder of the runs, and of the report')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time (%(default)s)')
    parser.add_argument(
        '--processes', type=int, default=1, help='of torchrun, for each run (%(default)s)'
    )
    parser.add_argument('--metric', default='coco/AP', help='what to compare (%(default)s)')
    parser.add_argument(
        '--rule', choices=['greater', 'less'],
        help='what is better of it; by default the checkpoint hook of the config says it, or its '
        'name does, as of AP, PCK, AUC (greater), EPE, NME, MPJPE (less)',
    )  # fmt: skip
    parser.add_argument(
        '--rerun', action='store_true', help='put runs of another recipe aside and run anew'
    )
    parser.add_cfg_options(what="the fine-tuning's config")
    parser.add_cfg_options('--pretrain-cfg-options', "every pretraining's config")
    parser.add_argument(
        '--collect',
        nargs='+',
        metavar='[NAME=]FOLDER',
        help='report on these, run nothing; one with a = in its name as ./FOLDER',
    )
    parser.add_argument('--report', help='HTML file (report.html in --out)')
    parser.add_argument('--title', default='The same fine-tuning from several initialisations')
    return parser


def require_one_use(args: argparse.Namespace) -> None:
    """Run, or collect."""
    if args.collect:
        if args.config or args.init or args.pretrain or not (args.report or args.out):
            raise ValueError(
                '--collect takes --report or --out, and neither CONFIG, --init nor --pretrain'
            )
        of_runs = ('--labels', '--seeds', '--longer', '--jobs', '--processes', '--rerun',
                   '--cfg-options', '--pretrain-cfg-options')  # fmt: skip
        parser = arguments()
        for flag in of_runs:
            name = flag[2:].replace('-', '_')
            if getattr(args, name) != parser.get_default(name):
                raise ValueError(f'{flag} is for running: --collect reports on whole folders')
    elif not (args.config and (args.init or args.pretrain) and args.out):
        raise ValueError('CONFIG, --init or --pretrain, and --out are needed, or --collect')


def say(text: str) -> None:
    print(text, flush=True)


def named(pairs: list[tuple], option: str) -> dict:
    """A dictionary of pairs whose names differ."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f'{option}: names must differ, got {" ".join(names)}')
    return dict(pairs)


def run(args: argparse.Namespace) -> 'Outcome':
    """Run what is not finished."""
    from hsjp_mm.comparison.budgets import parse_longer
    from hsjp_mm.comparison.execution import Comparison
    from hsjp_mm.comparison.plan import parse_init, parse_pretraining
    from hsjp_mm.utils.configs import read_config

    inits = named([parse_init(text) for text in args.init], '--init')
    paths = named([parse_pretraining(text) for text in args.pretrain], '--pretrain')
    return Comparison(
        read_config(args.config, args.cfg_options),
        inits,
        {
            name: read_config(path, args.pretrain_cfg_options, '--pretrain', 'pretrain_cfg_options')
            for name, path in paths.items()
        },
        args.labels,
        args.seeds,
        args.out,
        args.processes,
        args.metric,
        args.rule,
        named([parse_longer(text) for text in args.longer], '--longer'),
    ).run(args.jobs, args.rerun, say)


@command(arguments)
def main(args: argparse.Namespace) -> int:
    require_one_use(args)
    if args.config:
        config_file(args.config)  # before the imports, which take seconds

    from hsjp_mm.comparison.execution import Outcome
    from hsjp_mm.comparison.report import report_on, require_page
    from hsjp_mm.comparison.runs import parse_collected

    report = args.report or Path(args.out, 'report.html')
    require_page(report)

    names: dict[str, str] = {}
    if args.collect:
        pairs = [parse_collected(item) for item in args.collect]
        names = {folder: name for name, folder in pairs if name}
        outcome = Outcome([Path(folder) for _, folder in pairs], [], [])
    else:
        try:
            outcome = run(args)
        except KeyboardInterrupt:
            print('stopped; the same command goes on from here', file=sys.stderr)
            return 130
    lines, failures = report_on(
        report,
        args.title,
        outcome.folders,
        names,
        args.metric,
        args.rule,
        outcome.pretrainings,
        outcome.failures,
    )
    for failure in failures:
        say(f'NOT IN THE REPORT: {failure.title}: {failure.reason}')
    for line in lines:
        say(line)
    return 1 if failures else 0


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
