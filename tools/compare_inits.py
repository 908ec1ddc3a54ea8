"""Compare initialisations: the same fine-tuning from each, over seeds and shares of the labels.

Runs what is not there yet, one after another, and writes one HTML file:

    python tools/compare_inits.py CONFIG --init scratch --init hsjp=backbone.safetensors \\
        --init imagenet=file.pth --labels 0.1 1 --seeds 0 1 2 --work-dir work_dirs/compare

The same command goes on where it was stopped: finished runs are skipped, half-done ones resumed,
and a folder that holds a run of another recipe is refused. Or report on runs made elsewhere, by
their work folders:

    python tools/compare_inits.py --collect imagenet=work_dirs/a work_dirs/b --report compare.html

The exit status is 1 if a run failed.
"""

import argparse
import signal
import sys
from pathlib import Path

from mmengine.config import Config, DictAction

from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.comparison.execution import parse_init, plan, put_aside, run_all
from hsjp_mm.comparison.report import write_comparison
from hsjp_mm.comparison.runs import Failure, collect, diagnose_all, spread_note, verdicts


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', help='of the fine-tuning, any of MMPose')
    parser.add_argument(
        '--init',
        action='append',
        default=[],
        metavar='NAME=CHECKPOINT',
        help="where to start from, once for each: a file or address, 'scratch' for random weights",
    )
    parser.add_argument(
        '--labels', type=float, nargs='+', default=[1.0], help='shares, in (0, 1] (default 1)'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(0 1 2)')
    parser.add_argument('--work-dir', help='folder of the runs')
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
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    parser.add_argument(
        '--collect', nargs='+', metavar='[NAME=]FOLDER', help='report on these, run nothing'
    )
    parser.add_argument('--report', help='HTML file (report.html in --work-dir)')
    parser.add_argument('--title', default='The same fine-tuning from several initialisations')
    args = parser.parse_args(argv)
    if args.collect:
        if args.config or args.init or not args.report:
            parser.error('--collect takes --report, and neither a config nor --init')
    elif not (args.config and args.init and args.work_dir):
        parser.error('a config, --init and --work-dir are needed, or --collect')
    return args


def say(text: str) -> None:
    print(text, flush=True)


def run(args: argparse.Namespace) -> tuple[list[Path], list[Failure]]:
    """Run what is not finished; returns the folders of the finished runs, and the failures."""
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options)
    inits = dict(map(parse_init, args.init))
    if len(inits) < len(args.init):
        raise ValueError(f'--init: names must differ, got {" ".join(args.init)}')
    runs = plan(
        config, inits, args.labels, args.seeds, args.work_dir, args.processes, args.metric,
        args.rule,
    )  # fmt: skip
    if args.rerun:
        for aside in filter(None, map(put_aside, runs)):
            say(f'put aside: {aside}')
    failures = run_all(runs, args.jobs, say)
    failed = {failure.folder for failure in failures}
    return [run.folder for run in runs if str(run.folder) not in failed], failures


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    names: dict[str, str] = {}
    failures: list[Failure] = []
    try:
        if args.collect:
            pairs = [item.rpartition('=')[::2] for item in args.collect]
            names = {folder: name for name, folder in pairs if name}
            folders = [Path(folder) for _, folder in pairs]
        else:
            folders, failures = run(args)
        runs, unfinished = collect(folders, names, args.metric, args.rule)
        failures += unfinished
        if not runs:
            print('no run is finished: no report', file=sys.stderr)
            return 1
        report = Path(args.report or Path(args.work_dir, 'report.html'))
        report.parent.mkdir(parents=True, exist_ok=True)
        write_comparison(report, args.title, runs, failures, *diagnose_all(runs))
    except (CheckpointError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('stopped; the same command goes on from here', file=sys.stderr)
        return 130
    for fraction, sentences in verdicts(runs).items():
        for sentence in sentences:
            say(f'{100 * fraction:.10g} % of the labels: {sentence}')
    say(spread_note(runs))
    for failure in failures:
        say(f'NOT IN THE REPORT: {failure.title}: {failure.reason}')
    say(f'report: {report}')
    return 1 if failures else 0


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
