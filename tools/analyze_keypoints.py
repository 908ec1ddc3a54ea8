"""Show what keypoint results get wrong, for one or several result files.

    hsjp-mm analyze scratch.keypoints.json hsjp.keypoints.json

Writes precision and recall at the OKS thresholds 0.5 to 0.95 and AP by threshold; and, after Ronchi
and Perona (ICCV 2017), the shares of good, jittered, inverted, swapped and missed keypoints, for
each keypoint too, with the AP that correcting each error would bring. MMPose writes result files
with `hsjp-mm test CONFIG CHECKPOINT --cfg-options test_evaluator.outfile_prefix=hsjp`.
"""

import argparse
import json
import sys
from pathlib import Path

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import existing_file, writable_folder

IOU_TYPES = ('keypoints', 'keypoints_crowd')
METAINFO = 'configs/_base_/datasets/coco.py'


def arguments() -> Parser:
    flags = {'use_area=False': '--no-area', 'annotations=': '--ann=', 'annotations:': '--ann:'}
    parser = Parser(__doc__, flags)
    parser.add_input('results', existing_file, nargs='+', help='COCO-style result files')
    parser.add_input(
        '--ann',
        existing_file,
        default='data/coco/annotations/person_keypoints_val2017.json',
        help='COCO-style annotations (%(default)s)',
    )
    parser.add_argument('--names', nargs='+', help='of the results; default: their files')
    parser.add_argument(
        '--metainfo', default=METAINFO, help='of the keypoint set, as in data sets (%(default)s)'
    )
    parser.add_argument('--iou-type', default='keypoints', choices=IOU_TYPES, help='as CocoMetric')
    parser.add_argument(
        '--no-area', action='store_true', help='take areas from the boxes, as for CrowdPose'
    )
    parser.add_out('folder', 'keypoint_errors', writable_folder)
    return parser


def names_of(paths: list[str], names: list[str] | None) -> list[str]:
    """The given names, else the files' own, with as many folders as tell them apart."""
    if names is None:
        parts = [Path(path.removesuffix('.json')).parts for path in paths]
        for number in range(1, max(map(len, parts)) + 1):
            names = ['/'.join(part[-number:]) for part in parts]
            if len(set(names)) == len(names):
                break
    assert names is not None  # for mypy
    if len(names) != len(paths):
        raise ValueError(f'--names: {len(names)} names for {len(paths)} results')
    if len(set(names)) < len(names):
        raise ValueError(f'results need different names, got {", ".join(names)}')
    return names


def table(diagnoses: dict[str, dict]) -> str:
    from hsjp_mm.analysis.keypoint_errors import ERRORS, KINDS

    thresholds = next(iter(diagnoses.values()))['oks_thresholds']
    gains = (*ERRORS, 'all')
    width = max(map(len, diagnoses))
    columns = [
        ('AP', ['all', *(f'{threshold:.2f}' for threshold in thresholds)]),
        ('keypoints, %', list(KINDS)),
        ('AP gained', list(gains)),
    ]
    lines = []
    for title, heads in columns:
        lines.append(f'\n{title:{max(width, 12)}}' + ''.join(f'{head:>10}' for head in heads))
        for name, diagnosis in diagnoses.items():
            if title == 'AP':
                values = [diagnosis['AP'], *diagnosis['AP_by_oks']]
                cells = [f'{value:10.3f}' for value in values]
            elif title == 'AP gained':
                cells = [f'{diagnosis["AP_gain"][gain]:+10.3f}' for gain in gains]
            else:
                shares = [diagnosis['shares'][kind] for kind in KINDS]
                cells = [f'{"-":>10}' if s is None else f'{100 * s:10.1f}' for s in shares]
            lines.append(f'{name:{max(width, 12)}}' + ''.join(cells))
    return '\n'.join(lines)


@command(arguments)
def main(args: argparse.Namespace) -> int:
    from hsjp_mm.analysis.keypoint_errors import diagnose
    from hsjp_mm.visualization import plot_keypoint_errors

    diagnoses = {
        name: diagnose(args.ann, path, args.metainfo, args.iou_type, not args.no_area)
        for name, path in zip(names_of(args.results, args.names), args.results, strict=True)
    }
    for name, diagnosis in diagnoses.items():
        print(
            f'{name}: {diagnosis["detections"]} detections, {diagnosis["evaluated"]} evaluated; '
            f'{diagnosis["matched"]} of {diagnosis["persons"]} persons found, '
            f'{diagnosis["keypoints"]} of their keypoints annotated'
        )
    print(table(diagnoses))
    paths = plot_keypoint_errors(diagnoses, args.out)
    numbers = Path(args.out) / 'keypoint_errors.json'
    numbers.write_text(json.dumps(diagnoses, indent=1) + '\n')
    print('\n' + '\n'.join(map(str, [numbers, *paths])))
    return 0


if __name__ == '__main__':
    sys.exit(main())
