"""Run a study: several fine-tunings, each from several pretrainings, over labels and seeds.

    hsjp-mm study --out work_dirs/study              in miniature, on people that are rendered first
    hsjp-mm study my_study.py --out work_dirs/study  your own

The one in miniature takes an hour or two on two CPU cores: 3D bodies by PARE and HMR, from random
weights and from nine pretrainings, with 10 % and with all of the labels, three seeds. The same
command goes on where it was stopped. It writes report.html, and a report for each fine-tuning that
is finished. The exit status is 1 if a run failed.
"""

import argparse
import signal
import sys
from functools import partial
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file
from hsjp_mm.utils.files import PACKAGE, writable_folder

TOY = PACKAGE / 'configs/study/toy-bodies.yml'


def arguments() -> Parser:
    parser = Parser(__doc__, {'fractions': 'labels'})  # as the file of a study calls them
    parser.add_argument('config', nargs='?', default=str(TOY), help='of the study (the toy study)')
    parser.add_out('folder of the runs, and of the reports', check=writable_folder)
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time (%(default)s)')
    parser.add_argument(
        '--rerun', action='store_true', help='put runs of another recipe aside and run anew'
    )
    return parser


def say(text: str) -> None:
    print(text, flush=True)


@command(arguments)
def main(args: argparse.Namespace) -> int:
    config_file(args.config)  # before the imports, which take seconds

    from hsjp_mm.comparison.report import report_on, require_page
    from hsjp_mm.comparison.runs import read_run
    from hsjp_mm.comparison.study import comparisons, read_study, render_data, run_study
    from hsjp_mm.comparison.study_report import write_study
    from hsjp_mm.utils.progress import track

    study, out = read_study(args.config), Path(args.out).resolve()
    found = comparisons(study, out)
    for folder in (out, *(out / name for name in found)):
        require_page(folder / 'report.html')
    if unused := study.unused():
        say(f'{", ".join(unused)}: in the starts of no fine-tuning, so that nothing is run for it')
    try:
        render_data(study, out / 'data', partial(track, what='images'), args.jobs)
        outcomes = run_study(found, args.jobs, args.rerun, say)
    except KeyboardInterrupt:
        print('stopped; the same command goes on from here', file=sys.stderr)
        return 130
    runs, failures, pretrainings = {}, [], {}
    for name, outcome in outcomes.items():
        metric, rule = study.metric_of(name), study.rule_of(name)
        lines, missing = report_on(
            out / name / 'report.html', f'{study.title}: {name}', outcome.folders,
            metric=metric, rule=rule, pretrainings=outcome.pretrainings,
            failures=outcome.failures, published=study.published_of(name),
            labelling=study.labelling_cost(),
        )  # fmt: skip
        say('\n'.join([f'{name}:', *lines]))
        failures += [one for one in missing if one not in failures]
        pretrainings.update({one.name: one for one in outcome.pretrainings})
        if outcome.folders:
            runs[name] = [read_run(folder, metric=metric, rule=rule) for folder in outcome.folders]
    reports = {name: f'{name}/report.html' for name in runs}
    write_study(
        out / 'report.html', study.title, runs, reports, list(pretrainings.values()), failures
    )
    for failure in failures:
        say(f'NOT IN THE REPORT: {failure.title}: {failure.reason}')
    say(f'report: {out / "report.html"}')
    return 1 if failures else 0


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
